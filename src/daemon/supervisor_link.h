/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How the command line and the processes reach a running supervisor.
 *
 * RUNTIME/supervisor.sock (0600): one line of text from the client ("status", "reload", "down"),
 * one JSON object back: {"result": "ok" | "...", "message": "...", "status": {...}}. To "down" the
 * answer is the end of the connection; that it is over shows the lock.
 * RUNTIME/notify.sock: daemon/notify.h; the kernel says which process sent a datagram. */

#include "base/buf.h"

#include <jansson.h>
#include <limits.h>
#include <sys/types.h>

typedef struct dv_link {
    int fd; /* -1: closed */
    char path[PATH_MAX];
} dv_link;

typedef enum dv_link_request {
    DV_LINK_NONE, /* nobody, or nonsense: already answered */
    DV_LINK_STATUS,
    DV_LINK_RELOAD,
    DV_LINK_DOWN,
} dv_link_request;

dv_must dv_result dv_link_listen(const char *runtime_dir, dv_link *ret_link, dv_error *error);
void dv_link_close(dv_link *link);

/* Takes one client and its request; *ret_client is the caller's to answer or close. Only root and
 * our own user are heard. A client that says nothing is given half a second. */
dv_link_request dv_link_accept(dv_link *link, int *ret_client);

/* Answers and closes; a client of -1 is left alone. status may be NULL and stays the caller's. */
void dv_link_answer(int *client, dv_result result, const char *message, json_t *status);

/* Asks the supervisor of that runtime directory. timeout_s: seconds. On DV_OK *ret_answer is a new
 * reference. Errors: DV_ERR_NOT_FOUND (none is running), DV_ERR_UNAVAILABLE. */
dv_must dv_result dv_link_ask(const char *runtime_dir, const char *request, int timeout_s,
                              json_t **ret_answer, dv_error *error);

/* What a process said of itself. */
typedef struct dv_link_notice {
    pid_t pid;
    bool ready;
    char reload_failed[512]; /* "": it did not */
} dv_link_notice;

/* group: who may write to it beside us, or NULL. */
dv_must dv_result dv_link_open_notify(const char *path, const gid_t *group, int *ret_fd,
                                      dv_error *error);
/* False when there is none. */
bool dv_link_read_notice(int fd, dv_link_notice *ret_notice);
