// SPDX-License-Identifier: Apache-2.0
// What an application does with the official client; prints what it saw as JSON.
import OpenAI from "openai";

const { BASE_URL: baseURL, API_KEY: apiKey, MODEL: model } = process.env;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "Say hello." }];

const answer = await client.chat.completions.create({ model, messages, max_tokens: 16 });
let streamed = "";
for await (const chunk of await client.chat.completions.create({
  model, messages, max_tokens: 16, stream: true,
})) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
}
const embedding = await client.embeddings.create({ model, input: "gate" });
let wrongKey = 0;
try {
  await new OpenAI({ baseURL, apiKey: "dvk_wrong", maxRetries: 0 }).models.list();
} catch (error) {
  wrongKey = error.status;
}
console.log(JSON.stringify({
  text: answer.choices[0].message.content,
  streamed,
  dimensions: embedding.data[0].embedding.length,
  wrongKey,
}));
