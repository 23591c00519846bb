/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A disk that loses power. What a process does to the files below a folder is written down; then
 * the folders are built that a power loss at any of these steps may leave behind.
 *
 * What POSIX promises is all that counts, no file system's habits:
 * - what was written to a file is certain once the file was synced after it; before, each page of
 *   4096 bytes may be there or not, and the new length as well;
 * - a name (made, changed or removed) is certain once its folder was synced after it; before, it
 * may be there or not, whatever came of others;
 * - syncfs makes everything certain that lies on the same disk;
 * - what a failed sync was to write may never come, though a later sync succeeds.
 *
 * The journal lies in shared memory, so that several processes, one after the other, write on it:
 * lives of a program that is killed in between. The test program is linked with --wrap for each
 * call (POWER_CALLS in meson.build). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum power_kind {
    POWER_MAKE, /* a file, or a folder */
    POWER_RENAME,
    POWER_REMOVE,
    POWER_WRITE,
    POWER_CUT,  /* to a length */
    POWER_SYNC, /* of a file or a folder */
    POWER_SYNC_FAILED,
    POWER_SYNC_ALL,
    POWER_MARK, /* the test's own */
} power_kind;

/* What comes of the steps that are not certain. */
typedef enum power_luck {
    POWER_NOTHING, /* none of them */
    POWER_ALL,     /* all: what a kill leaves */
    POWER_NAMES,   /* names, no contents */
    POWER_CONTENTS,
    POWER_ANY, /* each of them or not, by chance */
} power_luck;

/* From now on steps below the folder are written down, in this process and its children; what is
 * there now is certain. The folder's path has no symbolic link in it. `apart` names a folder in it
 * that lies on a disk of its own. */
void power_begin(const char *folder, const char *apart);
void power_end(void);
/* Whether they are, for now. */
void power_record(bool on);
/* Ends the process before that step, as a kill would (exit status POWER_KILLED); SIZE_MAX: never.
 */
void power_kill_at(size_t step);
/* The Nth sync from now on fails with EIO; 0: none does, and what failed is remembered. */
void power_fail_sync_at(long step);
/* The step of that sync; 0: it was not reached. */
size_t power_failed_at(void);
enum { POWER_KILLED = 99 };

/* Notes a promise at this place of the journal. */
void power_mark(uint64_t a, uint64_t b);
/* The last promise before the step, zeros when there is none. */
void power_promised(size_t step, uint64_t *ret_a, uint64_t *ret_b);

/* Steps so far. */
size_t power_steps(void);
power_kind power_step_kind(size_t step);
/* Of a rename: its new name below the folder, and the file's bytes. NULL: it is none. */
const char *power_renamed(size_t step, const uint8_t **ret_bytes, size_t *ret_len);

/* Replaces the folder with what a power loss right before the step leaves of it. */
void power_lose(size_t step, power_luck luck, uint64_t seed);
