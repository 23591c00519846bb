/* SPDX-License-Identifier: Apache-2.0 */
/* Included by the compiler before every file of ours (-include), after these system headers, so
 * that a dangerous call does not compile. */
#ifndef DV_BANNED_H
#define DV_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* With clang, glibc's checked versions are macros. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets
#pragma GCC poison gmtime localtime asctime ctime tmpnam mktemp atoi atol atoll

/* Others' headers use these words for parameters, so only the calls are refused. */
#ifdef __clang__
#define DV_BANNED(why) __attribute__((deprecated(why)))
#else
#define DV_BANNED(why) __attribute__((error(why)))
#endif
extern int rand(void) DV_BANNED("use dv_random");
extern void srand(unsigned int seed) DV_BANNED("use dv_random");

#endif
