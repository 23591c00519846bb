/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where an instance keeps its things, and who owns what.
 *
 * Run by an ordinary user, everything belongs to that user (0700). Run by root, three users share
 * the work, and none can read what the others hold:
 *   nginx workers  www-data                 RUNTIME/snapshot, STATE/spool/gateway, STATE/counters
 *   dvarad         dvara, or uid 65521      STATE, STATE/keys, STATE/spool/dvarad, RUNTIME
 *   dvara-logd     dvara-log, or uid 65522  STATE/keys/log, STATE/log, STATE/spool, RUNTIME/log
 *   dvara-collect  dvara-collect, or uid 65523  STATE/collect, STATE/spool/collect
 *   dvara-export   dvara-export, or uid 65524   STATE/export, STATE/spool/export
 * What a folder in the spool is called and whose it is tells dvara-logd who wrote what lies there;
 * its group and that of the files is dvara-logd's own, so that no writer reaches another's.
 * dvara-collect is also in the groups that may read logs, where there are such (adm,
 * systemd-journal). www-data's group is the one they have in common. The numbers are reserved by
 * Debian policy (section 9.2.2) and given to nobody.
 *
 * A state directory below a folder that only root may enter is shown to the others through a
 * private bind mount; where the kernel refuses that too, all run as root and shared_root says so.
 */

#include "base/result.h"

#include <limits.h>
#include <sys/types.h>

enum { DV_ACCOUNT_GROUPS_MAX = 2 };

typedef struct dv_account {
    uid_t uid;
    gid_t gid;
    gid_t groups[DV_ACCOUNT_GROUPS_MAX]; /* besides the shared one */
    size_t group_count;
} dv_account;

typedef struct dv_layout {
    char state[PATH_MAX]; /* absolute, without symbolic links */
    char runtime[PATH_MAX];
    char view[PATH_MAX];     /* the state as the processes reach it: state, or runtime + "/state" */
    bool separate;           /* the processes run under users of their own */
    bool mount;              /* view is a private bind mount, because others can't reach state */
    bool shared_root;        /* they could not be separated: all run as root */
    dv_account control;      /* dvarad; meaningful when separate */
    dv_account log;          /* dvara-logd */
    dv_account collector;    /* dvara-collect */
    dv_account exporter;     /* dvara-export */
    uid_t worker;            /* nginx's workers */
    gid_t shared;            /* the group they have in common */
    const char *worker_user; /* of nginx; NULL when nginx is not started as root */
} dv_layout;

/* Finds the places of a state directory and makes nothing. With make, the state directory is made
 * when it is missing (0700). Errors: DV_ERR_NOT_FOUND, DV_ERR_IO, DV_ERR_FORBIDDEN. */
dv_must dv_result dv_layout_find(const char *state_dir, bool make, dv_layout *ret_layout,
                                 dv_error *error);

/* Makes and hands over all folders, and the link STATE/runtime. Call under the instance's lock. */
dv_must dv_result dv_layout_make(dv_layout *layout, dv_error *error);

/* Whether RUNTIME lies in memory, so that nothing in it gets to a disk. */
bool dv_layout_in_memory(const dv_layout *layout);

/* Removes RUNTIME with all that is in it, as far as that goes: what links lead to, and what is
 * mounted there, stays. Call under the instance's lock, when its processes are gone. */
void dv_layout_remove_runtime(const dv_layout *layout);

/* The copy of dvara.yaml that a process reads: folder "collect", "export", or NULL for dvarad's. */
dv_must dv_result dv_layout_config(const dv_layout *layout, const char *folder,
                                   char ret_path[PATH_MAX]);

/* PATH = folder/name; too long a path is DV_ERR_TOO_LARGE. */
dv_must dv_result dv_path_join(const char *folder, const char *name, char ret_path[PATH_MAX]);
