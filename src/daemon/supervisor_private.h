/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of the supervisor share; nothing else includes it.
 *
 * Invariants:
 *
 * 1. One supervisor for a state: it holds STATE/lock from before it touches anything until all its
 *    processes are gone.
 * 2. A process is started only when those before it in the table have been ready once.
 * 3. No nginx master is started while a worker of an earlier one lives: it would keep the port and
 *    the old rules.
 * 4. What the processes run on (RUNTIME/dvara.yaml, RUNTIME/nginx/nginx.conf) was checked whole
 *    before it was put there; a refused reload leaves both as they were.
 * 5. A process that dies is started again, after a pause that doubles up to DV_PAUSE_MAX and is
 *    forgotten once it has served for DV_STEADY: what was killed from outside is back within a
 *    second however often that happens, what dies of itself at its start is held back.
 *
 *   WAITING ──start──► STARTING ──ready──► RUNNING
 *      ▲                  │ dies              │ dies
 *      └──────pause───────┴───────────────────┘            (end: any ──► GONE)
 *
 * 6. dvara-collect and dvara-export run while dvara.yaml has entries for them (`audit: collect:`,
 *    `export:`). They hold up nobody: the gate serves though they do not start.
 *
 *   OFF ──asked for──► WAITING      any ──not asked for──► LEAVING ──dead──► OFF
 */

#include "daemon/supervisor.h"
#include "daemon/supervisor_link.h"
#include "daemon/supervisor_log.h"
#include "daemon/supervisor_process.h"
#include "daemon/supervisor_site.h"

#include <jansson.h>

typedef enum process_state {
    PROCESS_WAITING,
    PROCESS_STARTING,
    PROCESS_RUNNING,
    PROCESS_GONE,    /* while ending */
    PROCESS_OFF,     /* dvara.yaml does not ask for it */
    PROCESS_LEAVING, /* nor does it any more: told to end */
} process_state;

/* Those behind NGINX are optional, and need dvara-logd alone. */
enum { LOGD, DVARAD, NGINX, COLLECT, EXPORT, PROCESS_COUNT };

typedef struct process {
    process_state state;
    pid_t pid; /* 0: none */
    int output;
    dv_log_lines lines;
    bool wanted; /* of the optional ones: dvara.yaml in force asks for it */
    bool ready_once;
    unsigned failures; /* deaths since it was last steady */
    unsigned restarts;
    dv_time since;    /* wall clock of its start */
    dv_time ready_at; /* monotonic; 0: not since its start */
    dv_time deadline; /* monotonic: of the pause, of becoming ready */
} process;

typedef enum phase { PHASE_STARTING, PHASE_SERVING, PHASE_ENDING } phase;

typedef struct supervisor {
    const dv_up_options *options;
    dv_up_report report;
    void *report_data;
    dv_layout layout;
    dv_buf text; /* of dvara.yaml, as it is in force */
    dv_config *config;
    dv_site site;
    dv_buf next_text; /* what a running reload brings */
    dv_config *next_config;
    dv_site next_site;
    phase phase;
    dv_result outcome; /* of the run */
    process processes[PROCESS_COUNT];
    pid_t probe; /* asks the gate for its first answer; 0: none */
    int ending;  /* index of the process that is being ended */
    dv_time ending_deadline;
    bool killed; /* the one that is being ended got SIGKILL */
    int lock;
    bool alone; /* under the lock, and nothing of an earlier run lives: RUNTIME is ours to remove */
    int signals;
    int notify;
    dv_link link;
    int reload_client; /* who waits for a reload; -1: nobody */
    bool reloading;
    dv_time reload_deadline;
    dv_time started;
    dv_masker masker;
    dv_log_out log;
    json_t *notes;
    char notify_path[PATH_MAX];
} supervisor;

/* ---- The processes (supervisor_children.c) ---- */

extern const char *const dv_child_names[PROCESS_COUNT];

/* One step: starts what may be started now, kills what does not become ready in time; while ending,
 * ends one after the other. */
void dv_children_step(supervisor *s);
/* What the configuration in force asks of the optional ones: starts, tells or ends them. */
void dv_children_choose(supervisor *s);
/* It says that it is ready. */
void dv_children_ready(supervisor *s, int index);
/* Takes over what they wrote. */
void dv_children_drain(supervisor *s);
/* Keeps what one says of its crash; data: the supervisor. */
void dv_children_crashed(void *data, const char *name, dv_slice line);
/* Buries the dead, and has those come back that should. */
void dv_children_reap(supervisor *s);
/* From here on nothing is started. */
void dv_children_end(supervisor *s);
bool dv_children_gone(const supervisor *s);
/* Of a process of ours; -1: none has that pid. */
int dv_children_index(const supervisor *s, pid_t pid);
/* Milliseconds until something of the above is due. */
int dv_children_timeout(const supervisor *s);

/* ---- What people see (supervisor_status.c) ---- */

/* "dvara.yaml:7: message" where there is a line. */
void dv_status_error_text(const supervisor *s, const dv_error *error, char *out, size_t size);
void dv_status_say_error(supervisor *s, const dv_error *error);
/* A new reference. */
json_t *dv_status_json(const supervisor *s);
/* Tells who waits for the start; only the first call does. */
void dv_status_report(supervisor *s, dv_result result, const char *text);
void dv_status_report_ready(supervisor *s);
/* Says what the operator should know of this configuration, here and in the status. */
void dv_status_note_all(supervisor *s);

/* ---- dvara.yaml and its reload (supervisor_reload.c) ---- */

/* The file as it is now, read once: what is checked is what is put into force. */
dv_must dv_result dv_reload_read(const supervisor *s, dv_buf *text, dv_config **ret_config,
                                 dv_error *error);
/* Puts the text where the processes read it. */
dv_must dv_result dv_reload_write(const supervisor *s, const dv_buf *text, dv_error *error);
/* First half: check everything, then let dvarad take it over, which answers through notify. */
void dv_reload_begin(supervisor *s);
/* Second half: dvarad has the new configuration in the snapshot. */
void dv_reload_finish(supervisor *s);
/* It is over: answers who asked for it; on a refusal the old configuration is put back. */
void dv_reload_answer(supervisor *s, dv_result result, const char *message);
void dv_reload_drop(supervisor *s);
