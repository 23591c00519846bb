// SPDX-License-Identifier: Apache-2.0
// What decisions cost the reference, npm's @cedar-policy/cedar-wasm, with the policies of
// bench_cedar.c: prints the median by the number of policies. The policies are parsed beforehand;
// as it takes entities with every call, it gets only the user's own, not all 100,000.
import {createRequire} from "node:module";

const cedar = createRequire(new URL("../tests/reference/", import.meta.url))("@cedar-policy/cedar-wasm/nodejs");
const ACTIONS = 20, ROLES_OF_A_USER = 4, ENTITIES = 100000;

function policies(count) {
  const action = (n) => `Action::"a${n % ACTIONS}"`;
  return Array.from({length: count}, (_, i) =>
    `permit(principal in Role::"r${i}", action in [${action(i)}, ${action(i + 1)}, ${action(i + 2)}], resource);`).join("\n");
}

function request(i, roles, preparsedPolicySetId) {
  const user = (i * 7919) % ENTITIES;
  const parents = [{type: "Group", id: `g${user % 100}`}];
  for (let r = 1; r <= ROLES_OF_A_USER; r++) parents.push({type: "Role", id: `r${(user * 7919 + r * 104729) % roles}`});
  const principal = {type: "User", id: `u${user}`};
  return {principal, action: {type: "Action", id: `a${i % ACTIONS}`}, resource: {type: "Model", id: "gpt-4o"}, context: {},
    preparsedPolicySetId, entities: [{uid: principal, attrs: {}, parents}]};
}

function decide(asked) {
  const start = process.hrtime.bigint();
  const answer = cedar.statefulIsAuthorized(asked);
  const took = Number(process.hrtime.bigint() - start) / 1000;
  if (answer.type !== "success") throw new Error(JSON.stringify(answer));
  return took;
}

for (const count of process.argv.slice(2).map(Number)) {
  const name = `bench${count}`;
  const parsed = cedar.preparsePolicySet(name, {staticPolicies: policies(count)});
  if (parsed.type !== "success") throw new Error(JSON.stringify(parsed));
  const times = Array.from({length: count > 1000 ? 60 : 400}, (_, i) => decide(request(i, count, name)));
  const settled = times.slice(times.length / 4).sort((a, b) => a - b); // without the first runs, which compile
  console.log(JSON.stringify({name: `cedar.reference_${count}_policies`, value: settled[settled.length >> 1], unit: "us"}));
}
