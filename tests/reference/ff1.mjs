// SPDX-License-Identifier: Apache-2.0
// Answers the questions of tests/conformance/ff1_check.c with npm's @noble/ciphers: one a line,
// "encrypt|decrypt RADIX KEY TWEAK DIGITS", with key and tweak in hexadecimal ("-" is empty).
import { FF1 } from '@noble/ciphers/ff1.js';
import { createInterface } from 'node:readline';

const bytes = (word) => new Uint8Array(Buffer.from(word === '-' ? '' : word, 'hex'));

for await (const line of createInterface({ input: process.stdin })) {
  const [way, radix, key, tweak, digits] = line.split(' ');
  const cipher = FF1(Number(radix), bytes(key), tweak === '-' ? undefined : bytes(tweak));
  console.log(cipher[way](digits.split(',').map(Number)).join(','));
}
