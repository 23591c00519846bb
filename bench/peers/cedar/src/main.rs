// SPDX-License-Identifier: Apache-2.0
//! What decisions cost the crate cedar-policy: prints the median for each NAME.cedar, whose requests
//! lie in NAME.jsonl. Policies, entities (those of all requests) and requests are read beforehand.

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use serde_json::Value;
use std::{collections::HashMap, env, fs, time::Instant};

fn uid(value: &Value) -> EntityUid {
    EntityUid::from_json(value.clone()).expect("an entity's uid")
}

fn request(line: &Value) -> Request {
    let context = Context::from_json_value(line["context"].clone(), None).expect("a context");
    Request::new(uid(&line["principal"]), uid(&line["action"]), uid(&line["resource"]), context, None)
        .expect("a request")
}

fn entities(lines: &[Value]) -> Entities {
    let users: HashMap<String, Value> = lines
        .iter()
        .map(|line| (line["principal"].to_string(), line["entities"][0].clone()))
        .collect();
    Entities::from_json_value(Value::Array(users.into_values().collect()), None).expect("entities")
}

fn median(name: &str) -> f64 {
    let text = fs::read_to_string(format!("{name}.jsonl")).expect("requests");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let policies: PolicySet =
        fs::read_to_string(format!("{name}.cedar")).expect("policies").parse().expect("policies");
    let entities = entities(&lines);
    let authorizer = Authorizer::new();
    let mut times: Vec<f64> = lines
        .iter()
        .map(|line| {
            let request = request(line);
            let start = Instant::now();
            let answer = authorizer.is_authorized(&request, &policies, &entities);
            let took = start.elapsed().as_nanos() as f64 / 1000.0;
            assert_eq!(answer.decision(), Decision::Allow);
            assert_eq!(answer.diagnostics().reason().count(), 1);
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    for path in env::args().skip(1) {
        let name = path.rsplit('/').next().expect("a name");
        println!("{{\"name\": \"{name}\", \"value\": {:.3}}}", median(&path));
    }
}
