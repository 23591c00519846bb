/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Texts that hold little or nothing: what most of what people send looks like. */

static const char chat[] =
    "Sure, here is how the two approaches compare. First, the old scheduler kept one queue for "
    "each worker and moved tasks only when a queue ran empty; in 2019 that cost about 12.5% of "
    "the time. The new one (see section 4.2) shares a ring of 256 slots: `ring[head & 0xff]`.\n\n"
    "1. Build with `make -j2`, then run ./bench --rounds 100.\n2. Compare std::vector and "
    "std::deque; the former won by 3:1 in 7 of 8 runs, at 10:45 and again at 11:20.\n\n"
    "\"Why not both?\" she asked. Well... nobody had tried, and v2.3.1 was due on Friday. ";

static const char prose[] =
    "The old harbour has changed more in ten years than in the century before. Where fishing boats "
    "lay side by side, there are cafes now, and a small museum that tells how nets were mended by "
    "hand. People who grew up here say that they miss the noise, though not the smell. Others "
    "point out that the school has stayed open only because young families moved back, and that "
    "the winter storms, which used to flood the lower streets, are held off by the new wall.\n\n";
