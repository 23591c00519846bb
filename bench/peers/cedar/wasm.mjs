// SPDX-License-Identifier: Apache-2.0
// What decisions cost npm's @cedar-policy/cedar-wasm: prints the median for each NAME.cedar, whose
// requests lie in NAME.jsonl. The policies are parsed beforehand; entities, which it takes with every
// call, are the user's own.
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {basename} from "node:path";

const cedar = createRequire(`${process.env.MODULES}/`)("@cedar-policy/cedar-wasm/nodejs");

function decide(asked) {
  const start = process.hrtime.bigint();
  const answer = cedar.statefulIsAuthorized(asked);
  const took = Number(process.hrtime.bigint() - start) / 1000;
  if (answer.type !== "success" || answer.response.decision !== "allow") throw new Error(JSON.stringify(answer));
  return took;
}

for (const path of process.argv.slice(2)) {
  const name = basename(path);
  const parsed = cedar.preparsePolicySet(name, {staticPolicies: readFileSync(`${path}.cedar`, "utf8")});
  if (parsed.type !== "success") throw new Error(JSON.stringify(parsed));
  const asked = readFileSync(`${path}.jsonl`, "utf8").trim().split("\n")
    .map((line) => ({...JSON.parse(line), preparsedPolicySetId: name}));
  asked.slice(0, 50).forEach(decide); // which compiles
  const times = asked.slice(50, name.endsWith("0000") ? 110 : undefined).map(decide).sort((a, b) => a - b);
  console.log(JSON.stringify({name, value: times[times.length >> 1]}));
}
