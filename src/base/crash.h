/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a program says when it dies of a fault: which signal, and where each frame of its stack is,
 * as module and offset. Nothing of its memory.
 *
 * It is one line on standard error, of less than PIPE_BUF bytes, so that it stays whole beside
 * those of others; who collects the lines makes a report of it (daemon/supervisor_crash.h):
 *
 *   dvara-crash 1 dvarad 4711 11 3f0c...e1 dvarad+0x1f3a2 libc.so.6+0x3bfd0 ...
 *
 * version of the line, program, pid, signal, build id ("-": none), frames from the inside out.
 * Core dumps are as they were. */

#define DV_CRASH_MARK "dvara-crash 1 "

enum {
    DV_CRASH_FRAMES = 48,
    DV_CRASH_LINE = 4000, /* bytes, with the newline */
    DV_CRASH_PROGRAM = 24,
};

/* From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT say so before they end the program as
 * they would. program: lives as long as the process, or is copied when short: at most
 * DV_CRASH_PROGRAM-1 bytes are used. Does nothing in programs with sanitizers, which have reports
 * of their own. */
void dv_crash_watch(const char *program);
