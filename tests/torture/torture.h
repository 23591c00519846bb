/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the tests and the library that is loaded before a program share: a file beside the library,
 * mapped by both. torture.py reads and writes the same bytes. */

#include <stdatomic.h>
#include <stdint.h>

enum { TORTURE_PROGRAMS = 4 }; /* nginx (the module), dvarad, dvara-logd, dvara */

/* What is made to fail. */
enum {
    TORTURE_MEMORY = 1,     /* allocations, also those that nginx's pools and libraries do for us */
    TORTURE_WRITE = 2,      /* write, pwrite, send...; in the short mode half of it is written */
    TORTURE_SYNC = 4,       /* fsync, fdatasync, syncfs, msync */
    TORTURE_NAME = 8,       /* rename, link, unlink, mkdir, chmod, chown */
    TORTURE_SPACE = 16,     /* ftruncate, fallocate, mmap of files */
    TORTURE_OPEN = 32,      /* open, opendir, stat, flock */
    TORTURE_SOCKET = 64,    /* socket, bind, listen, connect, accept */
    TORTURE_READ = 128,     /* read, pread, recvmsg */
    TORTURE_DATABASE = 256, /* LMDB and SQLite */
};

enum { TORTURE_OFF, TORTURE_ONCE, TORTURE_FROM, TORTURE_SHORT };

typedef struct torture_slot {
    _Atomic uint32_t mode;
    _Atomic uint32_t kinds;   /* TORTURE_... that count */
    _Atomic uint32_t pid;     /* whose calls count; 0: of any process of the program */
    _Atomic uint32_t fired;   /* how many calls failed */
    _Atomic uint64_t fail_at; /* the number of the call that fails, from 1 */
    _Atomic uint64_t calls;   /* counted since the mode was set */
    _Atomic uint64_t site;    /* of the last failure: offset in the object of ours */
    _Atomic uint64_t live;    /* allocations of our code in process `pid` that are not freed */
    _Atomic uint32_t dump;    /* 1: the next counted call writes live-PID beside the library */
    char function[28];        /* that failed last */
    _Atomic int64_t clock;    /* seconds by which the program's wall clock is off */
} torture_slot;

_Static_assert(sizeof(torture_slot) == 88, "torture.py knows the layout");
