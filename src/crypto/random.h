/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

/* Random bytes of the kernel; ends the process when there are none, because nothing is safe then.
 */
void dv_random(void *out, size_t len);

/* A uniform random text of `len` base62 digits (no modulo bias). */
void dv_random_base62(char *out, size_t len);

/* True when equal; takes the same time wherever they differ. Lengths are not secret. */
dv_must bool dv_equal_constant_time(dv_slice a, dv_slice b);

/* Overwrites secrets; the compiler can't drop it. */
void dv_wipe(void *secret, size_t len);

/* Keeps this process's memory out of core dumps and away from ptrace of other processes. */
dv_must dv_result dv_process_undumpable(void);
