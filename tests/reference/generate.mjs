// SPDX-License-Identifier: Apache-2.0
// Random policies, entities and requests: every operator, function and scope of Cedar, mostly of
// the types that they take and now and then not. One seed gives one sequence of cases.

const ENTITY_IDS = {User: ["a", "b", 'é \n"q"'], Group: ["g0", "g1", "g2"], "N::Album": ["x"], Photo: ["p", "q"],
  Action: ["view", "edit", "all"]};
const TYPES = ["User", "Group", "N::Album", "Photo"];
const ATTRS = ["n", "m", "s", "b", "set", "names", "rec", "owner", "ip", "dec", "at", "dur", "odd key", "if"];
const STRINGS = ["", "a", "ab", "a*b", "abab", "é", "A", "\n", "1", "\u{1F600}x", "a\\b", "\"", "\u0000", "x y"];
const LONGS = ["0", "1", "2", "3", "7", "-1", "-2", "10", "100", "9223372036854775807", "-9223372036854775808", "4611686018427387904",
  "9007199254740993", "86400000"];
const IPS = ["10.0.0.1", "10.0.0.0/8", "127.0.0.1", "127.0.0.0/7", "224.0.0.1", "239.1.2.3/4", "::1", "::", "ff00::/8", "fe80::1/64", "0.0.0.0/0", "::/0",
  "1:2:3:4:5:6:7:8", "10.1.2.3/24", "2001:db8::/32"];
const BAD_IPS = ["", "1.2.3", "1.2.3.4/33", "01.2.3.4", "::ffff:1.2.3.4", "10.0.0.1/08", "::1/129", "1.2.3.4/", "a", "1.2.3.4 ", ":::", "1.2.3.256", "::1%1"];
const DECIMALS = ["0.0", "1.5", "-1.2345", "1.50", "922337203685477.5807", "-922337203685477.5808", "00.10", "-0.1", "-0.0", "12.0001"];
const BAD_DECIMALS = ["", "1", "1.", ".5", "1.23456", "922337203685477.5808", "+1.0", "1.0.0", "-.1", "1e1", " 1.0", "-922337203685477.5809"];
const DATES = ["2024-01-01", "2024-02-29", "1969-12-31", "0000-01-01", "9999-12-31", "2024-01-01T00:00:00Z", "1970-01-01T00:00:00.001Z",
  "2024-10-15T23:59:59.999Z", "2024-10-15T11:35:00+0530", "1969-12-31T23:59:59-2359", "2024-10-15T00:00:00.000-0000"];
const BAD_DATES = ["", "2023-02-29", "2024-1-01", "2024-13-01", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00:00",
  "2024-01-01T00:00:00+2400", "2024-01-01T00:00:00+0060", "2024-01-01T00:00:00.1Z", "2024-01-01 00:00:00Z", "-2024-01-01", "2024-01-01T00:00:00z", "2024-01-00"];
const DURATIONS = ["1d", "1ms", "0ms", "-1d2h3m4s5ms", "5m3ms", "1d0h", "9223372036854775807ms", "-9223372036854775808ms", "106751991167d", "-5h", "3661s", "00012h"];
const BAD_DURATIONS = ["", "-", "1", "1h1h", "1s1h", "d", "9223372036854775808ms", "106751991168d", "1.5h", "+1d", "1D", "1d ", "--1d"];
const CONSTRUCTORS = {ip: [IPS, BAD_IPS], decimal: [DECIMALS, BAD_DECIMALS], datetime: [DATES, BAD_DATES], duration: [DURATIONS, BAD_DURATIONS]};
const KINDS = ["bool", "long", "string", "entity", "set", "record", "ip", "decimal", "datetime", "duration"];
const ATTR_KINDS = {n: "long", m: "long", s: "string", b: "bool", set: "set", names: "set", rec: "record", owner: "entity", ip: "ip", dec: "decimal",
  at: "datetime", dur: "duration", "odd key": "long", if: "bool"};

// A small generator of good quality (splitmix32), so that a seed means the same everywhere.
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 4294967296;
  };
}

export function quote(text) {
  const escapes = {"\"": "\\\"", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\u0000": "\\0"};
  return `"${[...text].map((c) => escapes[c] ?? c).join("")}"`;
}

export class Generator {
  constructor(seed) {
    this.next = random(seed);
  }

  chance(p) {
    return this.next() < p;
  }

  below(n) {
    return Math.floor(this.next() * n);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  uid(types = TYPES) {
    const type = this.pick(types);
    return {type, id: this.pick(ENTITY_IDS[type])};
  }

  entityText(uid = this.uid()) {
    return `${uid.type}::${quote(uid.id)}`;
  }

  // JSON values of entities and contexts: whole numbers that JavaScript can hold.
  json(kind, depth = 2) {
    if (this.chance(0.08)) kind = this.pick(KINDS);
    switch (kind) {
      case "bool": return this.chance(0.5);
      case "long": return this.chance(0.1) ? this.pick([9007199254740991, -9007199254740991, 0]) : this.below(12) - 3;
      case "string": return this.pick(STRINGS);
      case "entity": return {__entity: this.uid()};
      case "set": return depth === 0 ? [] : this.times(3, () => this.json(this.pick(["long", "string", "entity"]), depth - 1));
      case "record": return depth === 0 ? {} : this.record(depth);
      default: return {__extn: {fn: kind, arg: this.pick(CONSTRUCTORS[kind][0])}};
    }
  }

  record(depth) {
    const record = {};
    for (const name of ATTRS) {
      if (this.chance(depth > 2 ? 0.7 : 0.4)) record[name] = this.json(ATTR_KINDS[name], depth - 1);
    }
    return record;
  }

  times(most, make) {
    return Array.from({length: this.below(most + 1)}, make);
  }

  // Parents only point forward in the list, so that nothing is its own ancestor.
  entities() {
    const all = [...TYPES, "Action"].flatMap((type) => ENTITY_IDS[type].map((id) => ({type, id})));
    return all.filter(() => this.chance(0.85)).map((uid) => {
      const at = all.indexOf(uid);
      const above = all.slice(at + 1).filter((other) => (other.type === "Action") === (uid.type === "Action"));
      const entity = {uid, attrs: uid.type === "Action" ? {} : this.record(2), parents: above.filter(() => this.chance(0.2))};
      if (uid.type !== "Action" && this.chance(0.6)) {
        entity.tags = {};
        for (const tag of ["t", "u", "a"]) if (this.chance(0.5)) entity.tags[tag] = this.json(this.pick(["string", "long", "set"]), 1);
      }
      return entity;
    });
  }

  attribute(name) {
    const plain = /^[A-Za-z_][A-Za-z_0-9]*$/.test(name) && name !== "if";
    return plain && this.chance(0.85) ? `.${name}` : `[${quote(name)}]`;
  }

  // Something of that kind that is read from the request.
  read(kind, depth) {
    const names = ATTRS.filter((name) => ATTR_KINDS[name] === kind);
    const from = this.pick(["principal", "resource", "context", "context", "principal.owner", "context.rec", "context.owner"]);
    if (this.chance(0.1) && depth > 0) return `${this.expression("entity", depth - 1, true)}.getTag(${this.expression("string", depth - 1)})`;
    return names.length === 0 ? from : from + this.attribute(this.pick(names));
  }

  literal(kind) {
    switch (kind) {
      case "bool": return this.pick(["true", "false"]);
      case "long": return this.pick(LONGS);
      case "string": return this.stringLiteral(this.pick(STRINGS));
      case "entity": return this.chance(0.5) ? this.pick(["principal", "action", "resource"]) : this.entityText();
      case "set": return `[${this.times(4, () => this.literal(this.pick(["long", "string", "entity", "bool"]))).join(", ")}]`;
      case "record": return this.chance(0.5) ? "context" : "{}";
      default: return `${kind}(${quote(this.pick(this.chance(0.85) ? CONSTRUCTORS[kind][0] : CONSTRUCTORS[kind][1]))})`;
    }
  }

  // The same string in one of several ways to write it.
  stringLiteral(text) {
    if (!this.chance(0.2)) return quote(text);
    return `"${[...text].map((c) => {
      const code = c.codePointAt(0);
      return code < 128 && this.chance(0.3) ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
    }).join("")}"`;
  }

  pattern() {
    return `"${this.times(5, () => this.pick(["*", "a", "b", "\\*", "é", "\\\\", "\\x2a", "ab", "\\\"", "\\n", "\u{1F600}"])).join("")}"`;
  }

  has(depth) {
    const object = this.expression(this.chance(0.7) ? "entity" : "record", depth - 1, true);
    const tail = this.pick(["n", "s", '"odd key"', '"if"', "rec", "rec.n", "owner.n", "rec.rec.b", "owner.owner.s", "nope", "n.m"]);
    return `${object} has ${tail}`;
  }

  bool(depth) {
    const e = (kind, tight) => this.expression(kind, depth - 1, tight);
    const any = this.pick(KINDS);
    const call = (kind, method, argument) => `${e(kind, true)}.${method}(${argument === undefined ? "" : e(argument)})`;
    return this.pick([
      () => `${e("bool", true)} && ${e("bool", true)}`,
      () => `${e("bool", true)} || ${e("bool", true)}`,
      () => `${e("bool", true)} && ${e("bool", true)} && ${e("bool", true)} || ${e("bool", true)}`,
      () => `${"!".repeat(1 + this.below(4))}${e("bool", true)}`,
      () => `${e(any, true)} == ${e(any, true)}`,
      () => `${e(any, true)} != ${e(this.pick(KINDS), true)}`,
      () => `${e("long", true)} ${this.pick(["<", "<=", ">", ">="])} ${e("long", true)}`,
      () => { const k = this.pick(["datetime", "duration"]); return `${e(k, true)} ${this.pick(["<", "<=", ">", ">="])} ${e(k, true)}`; },
      () => `${e("entity", true)} in ${e("entity", true)}`,
      () => `${e("entity", true)} in [${this.times(3, () => e("entity")).join(", ")}]`,
      () => `${e("entity", true)} in ${e("set", true)}`,
      () => `${e("entity", true)} is ${this.pick(TYPES)}`,
      () => `${e("entity", true)} is ${this.pick(TYPES)} in ${e("entity", true)}`,
      () => `${e("string", true)} like ${this.pattern()}`,
      () => this.has(depth),
      () => this.has(depth),
      () => call("set", "contains", this.pick(["long", "string", "entity"])),
      () => call("set", this.pick(["containsAll", "containsAny"]), "set"),
      () => call("set", "isEmpty"),
      () => call("entity", "hasTag", "string"),
      () => call("ip", this.pick(["isIpv4", "isIpv6", "isLoopback", "isMulticast"])),
      () => call("ip", "isInRange", "ip"),
      () => call("decimal", this.pick(["lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"]), "decimal"),
    ])();
  }

  // A way to work out something of that kind.
  operation(kind, depth) {
    const e = (of, tight) => this.expression(of, depth - 1, tight);
    switch (kind) {
      case "bool": return this.bool(depth);
      case "long": return this.pick([
        () => `${e("long", true)} ${this.pick(["+", "-", "*"])} ${e("long", true)}`,
        () => `${e("long", true)} + ${e("long", true)} - ${e("long", true)} * ${e("long", true)}`,
        () => `-${e("long", true)}`,
        () => `--(${e("long")})`,
        () => `${e("duration", true)}.${this.pick(["toMilliseconds", "toSeconds", "toMinutes", "toHours", "toDays"])}()`,
      ])();
      case "datetime": return this.chance(0.6) ? `${e("datetime", true)}.offset(${e("duration")})` : `${e("datetime", true)}.toDate()`;
      case "duration": return this.chance(0.6) ? `${e("datetime", true)}.durationSince(${e("datetime")})` : `${e("datetime", true)}.toTime()`;
      case "set": return `[${[e(this.pick(KINDS)), ...this.times(3, () => e(this.pick(["long", "string", "entity", "set"])))].join(", ")}${this.chance(0.2) ? "," : ""}]`;
      case "record": return this.recordLiteral(depth);
      case "ip": case "decimal": return `${kind}(${this.chance(0.04) ? "" : e("string")})`;
      default: return this.read(kind, depth);
    }
  }

  recordLiteral(depth) {
    const names = ATTRS.filter(() => this.chance(0.15));
    const fields = names.map((name) => {
      const key = /^[a-z]+$/.test(name) && name !== "if" && this.chance(0.8) ? name : quote(name);
      return `${key}: ${this.expression(ATTR_KINDS[name], depth - 1)}`;
    });
    return `{${fields.join(", ")}${fields.length > 0 && this.chance(0.2) ? "," : ""}}`;
  }

  // tight: as an operand, in parentheses where it is more than a primary.
  expression(kind, depth, tight = false) {
    if (this.chance(0.03)) kind = this.pick(KINDS);
    if (depth <= 0 || this.chance(0.2)) {
      const text = this.chance(0.5) ? this.literal(kind) : this.read(kind, 0);
      return tight && text.startsWith("-") && this.chance(0.9) ? `(${text})` : text;
    }
    if (this.chance(0.08)) {
      const text = `if ${this.expression("bool", depth - 1)} then ${this.expression(kind, depth - 1)} else ${this.expression(kind, depth - 1)}`;
      return tight ? `(${text})` : text;
    }
    if (this.chance(0.25)) return this.read(kind, depth);
    const text = this.operation(kind, depth);
    return tight ? `(${text})` : text;
  }

  scopeOf(word, template) {
    const target = () => (template && this.chance(0.8) ? `?${word}` : this.entityText());
    return word + this.pick([
      ...Array(template ? 1 : 6).fill(() => ""),
      () => ` == ${target()}`,
      () => ` in ${target()}`,
      () => ` is ${this.pick(TYPES)}`,
      () => ` is ${this.pick(TYPES)} in ${target()}`,
    ])();
  }

  action() {
    const one = () => `Action::${quote(this.pick(ENTITY_IDS.Action))}`;
    return "action" + this.pick([...Array(5).fill(() => ""), () => ` == ${one()}`, () => ` in ${one()}`, () => ` in [${this.times(3, one).join(", ")}]`])();
  }

  comment() {
    return this.chance(0.04) ? this.pick(["// note\n", " // note (\"x\n", "\n\n// two\n\n // lines\r\n"]) : "";
  }

  // Comments between some of the tokens, where any blank may stand.
  sprinkle(text) {
    return text.replace(/"(?:[^"\\]|\\.)*"| /gs, (found) => (found === " " ? this.comment() + " " : found));
  }

  policy(template = false) {
    const annotations = this.times(2, () => this.below(4)).filter((n, i, all) => all.indexOf(n) === i)
      .map((n) => this.pick([`@note${n}`, `@a${n}(${quote(this.pick(STRINGS))})`])).join(" ");
    const conditions = this.times(2, () => `${this.pick(["when", "when", "unless"])} { ${this.expression("bool", 1 + this.below(4))} }`).join(" ");
    const scopes = `${this.scopeOf("principal", template)}, ${this.action()}, ${this.scopeOf("resource", template)}`;
    const text = `${annotations} ${this.pick(["permit", "permit", "forbid"])} ( ${scopes} ) ${conditions} ;`.trim();
    return this.chance(0.3) ? this.sprinkle(text) : text;
  }

  // A template with at least one slot.
  template() {
    for (;;) {
      const text = this.policy(true);
      const scope = text.replace(/"(?:[^"\\]|\\.)*"/gs, "").replace(/\/\/[^\n]*/g, "");
      if (/\?(principal|resource)/.test(scope)) return text;
    }
  }

  link(number, templates) {
    const templateId = this.pick(Object.keys(templates));
    const bare = templates[templateId].replace(/"(?:[^"\\]|\\.)*"/gs, "").replace(/\/\/[^\n]*/g, "");
    const values = {};
    for (const slot of ["?principal", "?resource"]) if (bare.includes(slot)) values[slot] = this.uid();
    return {templateId, newId: `l${number}`, values};
  }

  case() {
    const staticPolicies = {}, templates = {}, templateLinks = [];
    for (let i = 0; i <= this.below(4); i++) staticPolicies[`p${i}`] = this.policy();
    if (this.chance(0.4)) {
      for (let i = 0; i <= this.below(2); i++) templates[`t${i}`] = this.template();
      for (let i = 0; i < this.below(4); i++) templateLinks.push(this.link(i, templates));
    }
    return {
      policies: {staticPolicies, templates, templateLinks},
      entities: this.entities(),
      principal: this.chance(0.9) ? this.uid(["User", "User", "Group"]) : {type: "User", id: "nobody"},
      action: {type: "Action", id: this.pick(ENTITY_IDS.Action)},
      resource: this.uid(["Photo", "Photo", "N::Album"]),
      context: this.record(3),
    };
  }

  // A policy with one of its tokens gone, doubled, swapped or another's: refused by both or neither.
  broken() {
    const tokens = this.policy(this.chance(0.2)).match(/"(?:[^"\\]|\\.)*"|\/\/[^\n]*\n|[A-Za-z_][A-Za-z_0-9]*|\d+|::|&&|\|\||[=!<>]=|\S|\s+/gs);
    const at = this.below(tokens.length);
    const odd = ["?principal", "::", "&&", "-", "!", "if", "(", ")", "]", "}", ",", ";", "==", "in", "is", "has", "like", "7", '"x"', ".", "[", "{", ":", "@", "/",
      "%", "=", "'", "principal", "User", "ip", "contains", "\"\\q\"", "\"\\u{d800}\"", "99999999999999999999", "__cedar", "#", "<", "true", "*", "+"];
    switch (this.below(4)) {
      case 0: tokens.splice(at, 1); break;
      case 1: tokens.splice(at, 0, " ", tokens[at], " "); break;
      case 2: tokens.splice(at, 0, " ", this.pick(odd), " "); break;
      default: tokens[at] = this.pick(odd);
    }
    return tokens.join("");
  }
}
