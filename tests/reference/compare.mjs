// SPDX-License-Identifier: Apache-2.0
// Compares Dvara's Cedar engine with the reference, npm's @cedar-policy/cedar-wasm, over random
// cases: decision, determining and erring policies, the JSON of every policy, and what the
// formatter makes of them. Some policies are broken on purpose: both refuse them, or neither.
//
//   node compare.mjs PROGRAM [CASES] [SEED]
//
// PROGRAM is the build's tests/reference/cedar_case. Prints the first differences and one line of JSON.
import {spawn} from "node:child_process";
import {createInterface} from "node:readline";
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import {Generator} from "./generate.mjs";

const [program, count = "3000", seed = "1"] = process.argv.slice(2);
const BATCH = 200, SHOWN = 10, FORMATS_EVERY = 4;
const tally = {cases: 0, allowed: 0, erring: 0, linked: 0, policies: 0, broken: 0, refused: 0, differences: 0};

// The reference writes one Literal for each character of a pattern.
function merged(value) {
  if (Array.isArray(value)) return value.map(merged);
  if (value === null || typeof value !== "object") return value;
  const out = {};
  for (const name of Object.keys(value).sort()) out[name] = merged(value[name]);
  if (Array.isArray(value.pattern)) {
    out.pattern = [];
    for (const part of value.pattern) {
      const last = out.pattern.at(-1);
      if (typeof part === "object" && typeof last === "object") last.Literal += part.Literal;
      else out.pattern.push(typeof part === "object" ? {...part} : part);
    }
  }
  return out;
}

const same = (a, b) => JSON.stringify(merged(a)) === JSON.stringify(merged(b));

function differ(what, asked, told, wanted) {
  tally.differences++;
  if (tally.differences > SHOWN) return;
  console.error(`${what}:\n${asked.text ?? asked}\nwe: ${JSON.stringify(told)}\nreference: ${JSON.stringify(wanted)}\n${
    JSON.stringify({...asked, text: undefined})}\n`);
}

const withId = (id, text) => `@id("${id}") ${text}`;

// What is asked of us: one text, with the ids as annotations.
function question(one) {
  const {staticPolicies, templates, templateLinks} = one.policies;
  const text = [...Object.entries(staticPolicies), ...Object.entries(templates)].map(([id, policy]) => withId(id, policy)).join("\n");
  return {text, links: templateLinks, entities: one.entities, principal: one.principal, action: one.action, resource: one.resource, context: one.context};
}

function referenceAnswer(one) {
  const answer = cedar.isAuthorized(one);
  if (answer.type !== "success") return {refused: answer.errors.map((error) => error.message).join("; ")};
  const {decision, diagnostics} = answer.response;
  return {decision, reasons: [...diagnostics.reason].sort(), errors: diagnostics.errors.map((error) => error.policyId).sort()};
}

function jsonOf(text, template) {
  const answer = template ? cedar.templateToJson(text) : cedar.policyToJson(text);
  return answer.type === "success" ? answer.json : {refused: answer.errors[0].message};
}

function compareJson(one, told, asked) {
  for (const [kind, template] of [["staticPolicies", false], ["templates", true]]) {
    for (const [id, text] of Object.entries(one.policies[kind])) {
      const wanted = jsonOf(withId(id, text), template);
      tally.policies++;
      if (!same(told.json[kind][id], wanted)) differ("JSON", asked, told.json[kind][id], wanted);
    }
  }
  if (!same(told.json.templateLinks, one.policies.templateLinks)) differ("links", asked, told.json.templateLinks, one.policies.templateLinks);
}

// The reference reads our layout as the policies that it was made from.
function compareFormatted(told, asked) {
  const parts = cedar.policySetTextToParts(told.formatted);
  if (parts.type !== "success") return differ("formatted", asked, told.formatted, parts);
  const read = {};
  for (const text of parts.policies) { const json = jsonOf(text, false); read[json.annotations?.id] = json; }
  for (const text of parts.policy_templates) { const json = jsonOf(text, true); read[json.annotations?.id] = json; }
  const wanted = {...told.json.staticPolicies, ...told.json.templates};
  if (!same(read, wanted)) differ("formatted", asked, read, wanted);
}

// Whether JavaScript has kept every number of it.
function exact(value) {
  if (typeof value === "number") return Number.isSafeInteger(value);
  return value === null || typeof value !== "object" || Object.values(value).every(exact);
}

// The reference decides by our JSON as by the text.
function compareDecisionByJson(one, told, asked) {
  const answer = referenceAnswer({...one, policies: told.json});
  if (!same(answer, {decision: told.decision, reasons: told.reasons, errors: told.errors})) differ("decision by JSON", asked, told, answer);
}

function compareCase(one, asked, told) {
  const wanted = referenceAnswer(one);
  tally.cases++;
  if (told.refused !== undefined) {
    return wanted.refused === undefined ? differ("refused", asked, told, wanted) : undefined;
  }
  told.reasons.sort();
  told.errors.sort();
  if (!same({decision: told.decision, reasons: told.reasons, errors: told.errors}, wanted)) {
    return differ("answer", asked, {...told, json: undefined, formatted: undefined}, wanted);
  }
  tally.allowed += wanted.decision === "allow";
  tally.erring += wanted.errors.length > 0;
  tally.linked += [...wanted.reasons, ...wanted.errors].some((id) => id.startsWith("l"));
  if (tally.cases % FORMATS_EVERY !== 0) return;
  compareJson(one, told, asked);
  compareFormatted(told, asked);
  if (exact(told.json)) compareDecisionByJson(one, told, asked);
}

function compareBroken(text, told) {
  const parsed = cedar.checkParsePolicySet({staticPolicies: text});
  const template = parsed.type === "success" ? parsed : cedar.policySetTextToParts(text);
  tally.broken++;
  tally.refused += told.refused !== undefined;
  if ((told.refused !== undefined) !== (template.type !== "success")) differ("broken", {text}, told, template);
}

const child = spawn(program, {stdio: ["pipe", "pipe", "inherit"]});
const answers = createInterface({input: child.stdout})[Symbol.asyncIterator]();

async function ask(questions) {
  child.stdin.write(questions.map((one) => JSON.stringify(one) + "\n").join(""));
  const told = [];
  for (const one of questions) {
    const line = await answers.next();
    if (line.done) throw new Error(`no answer to ${JSON.stringify(one)}`);
    told.push(JSON.parse(line.value));
  }
  return told;
}

const generator = new Generator(Number(seed));
const nobody = {entities: [], principal: {type: "User", id: "a"}, action: {type: "Action", id: "view"}, resource: {type: "Photo", id: "p"}, context: {}, links: []};
for (let left = Number(count); left > 0; left -= BATCH) {
  const cases = Array.from({length: Math.min(BATCH, left)}, () => generator.case());
  const asked = cases.map(question);
  const told = await ask(asked);
  cases.forEach((one, i) => compareCase(one, asked[i], told[i]));
  const broken = Array.from({length: Math.ceil(cases.length / 4)}, () => generator.broken());
  const refusals = await ask(broken.map((text) => ({text, ...nobody})));
  broken.forEach((text, i) => compareBroken(text, refusals[i]));
}
child.stdin.end();
console.log(JSON.stringify(tally));
process.exitCode = tally.differences === 0 && tally.cases === Number(count) ? 0 : 1;
