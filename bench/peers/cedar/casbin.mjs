// SPDX-License-Identifier: Apache-2.0
// What decisions cost npm's casbin: prints the median for each NAME.cedar of roles, whose requests lie
// in NAME.jsonl. Each policy becomes a line for each of its actions, each user's roles become
// groupings; only the users of the requests are there.
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {basename} from "node:path";

const {newEnforcer, newModel} = createRequire(`${process.env.MODULES}/`)("casbin");
const MODEL = `
[request_definition]
r = sub, act
[policy_definition]
p = sub, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && g(r.sub, p.sub)
`;

function rules(text) {
  return text.trim().split("\n").flatMap((policy) => {
    const [, role] = policy.match(/Role::"(\w+)"/);
    return [...policy.matchAll(/Action::"(\w+)"/g)].map(([, action]) => [role, action]);
  });
}

async function enforcer(text, asked) {
  const made = await newEnforcer(newModel(MODEL));
  await made.addPolicies(rules(text));
  const users = new Map(asked.map((one) => [one.principal.id, one.entities[0].parents]));
  await made.addGroupingPolicies([...users].flatMap(([user, parents]) => parents.map((parent) => [user, parent.id])));
  return made;
}

function decide(made, one) {
  const start = process.hrtime.bigint();
  const allowed = made.enforceSync(one.principal.id, one.action.id);
  const took = Number(process.hrtime.bigint() - start) / 1000;
  if (!allowed) throw new Error(JSON.stringify(one));
  return took;
}

for (const path of process.argv.slice(2)) {
  const name = basename(path);
  const asked = readFileSync(`${path}.jsonl`, "utf8").trim().split("\n").map((line) => JSON.parse(line));
  const made = await enforcer(readFileSync(`${path}.cedar`, "utf8"), asked);
  asked.slice(0, 20).forEach((one) => decide(made, one)); // which compiles
  const times = asked.slice(20, name.endsWith("0000") ? 80 : undefined).map((one) => decide(made, one)).sort((a, b) => a - b);
  console.log(JSON.stringify({name, value: times[times.length >> 1]}));
}
