/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Keeps personal data and secrets from passing, in both directions. Rewrites only what must be
 * masked; every other byte of a body stays as it was. */

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "core/finding.h"
#include "core/principal.h"
#include "core/verdict.h"

typedef struct dv_data_gate dv_data_gate; /* one for each thread: rules, scratch, prepared keys */
typedef struct dv_data_policy dv_data_policy; /* what to do with each detector, in one direction */
typedef struct dv_data_stream dv_data_stream; /* one answer's SSE stream */

/* The compiled detectors, which take a tenth of a second to make: read only, for any number of
 * gates in any thread, and in processes that are forked after they were made. */
typedef struct dv_detect_rules dv_data_detectors;
dv_must dv_result dv_data_detectors_new(dv_data_detectors **ret_detectors, dv_error *error);
void dv_data_detectors_free(dv_data_detectors *detectors);

/* placeholder_key: 32 bytes from which the per-principal placeholder keys are derived. detectors:
 * borrowed; NULL: the gate makes its own. */
dv_must dv_result dv_data_gate_new(const uint8_t placeholder_key[32],
                                   const dv_data_detectors *detectors, dv_data_gate **ret_gate,
                                   dv_error *error);
/* The key of hash, pseudonym, token, fpe and date_shift, for policies that are parsed from now on;
 * those that were keep theirs. What is under it is the same as what `dvara data` makes under it.
 * Without one, a policy with such an action is refused. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_gate_set_key(dv_data_gate *gate, const uint8_t key[32]);
bool dv_data_gate_has_key(const dv_data_gate *gate, const uint8_t key[32]);
/* A gate for another thread, with the same rules and keys, which it borrows: it must be freed
 * before `gate`. Each may be used by one thread at a time. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_gate_share(const dv_data_gate *gate, dv_data_gate **ret_gate);
/* How long each inspection may take from now on: about so many nanoseconds (counted, not measured);
 * 0: as long as it needs, as it is at first. One that needs longer answers DV_ERR_AGAIN, leaves the
 * verdict alone, and can be made again. Not for streams. */
void dv_data_gate_hurry(dv_data_gate *gate, uint64_t effort);
void dv_data_gate_free(dv_data_gate *gate);

enum {
    DV_DATA_RULES_MAX = 64,   /* rules in one policy */
    DV_DATA_VOLUMES_MAX = 16, /* rules on volume in one policy */
    DV_DATA_VOLUME_NAME = 64, /* bytes of a name */
};

/* What a rule on volume does when it is passed. */
typedef enum dv_volume_action {
    DV_VOLUME_BLOCK = 0, /* the zero refuses */
    DV_VOLUME_ALERT,     /* passes, and somebody is told */
    DV_VOLUME_MONITOR,   /* passes, and the request's records say so */
} dv_volume_action;

/* Reads a policy's JSON as dvarad put it into the snapshot ("default" is a must, all others are
 * not): {"default":"mask","detectors":{"email":"placeholder","phone":"alert",
 * "payment_card":{"action":"fpe","keep_last":4,"keep_said":1}},"off":["ip_address"],
 * "custom":"{\"detectors\":...}", (dv_detect_custom_text)
 * "decode":true,"rules":[{"who":["Role::\"support\""],"routes":["chat"],"detectors":["email"],
 * "categories":["payment"],"labels":["PHONE"],"action":"allow","override":true}],
 * "volumes":[{"name":"many-cards","who":[...],"routes":[...],"detectors":[...],"categories":[...],
 * "labels":[...],"values":500,"per_ns":3600000000000,"action":"block"}]} */
dv_must dv_result dv_data_policy_parse(const dv_data_gate *gate, dv_slice json,
                                       dv_data_policy **ret_policy, dv_error *error);
void dv_data_policy_free(dv_data_policy *policy);
/* The policy as its rules have it for a principal on a route (by name): the policy itself where
 * none matches. It lives as long as the policy, or the arena. By one thread at a time; what it
 * gives may be read by others. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_policy_for(dv_data_policy *policy, const dv_principal *principal,
                                     dv_slice route, dv_arena *arena,
                                     const dv_data_policy **ret_policy);

/* What a rule has to say of a detector's values, for somebody on a route. */
typedef struct dv_data_reason {
    uint32_t rule; /* its number in dvara.yaml's list */
    dv_content_action action;
    bool overrides;
    bool speaks;  /* of the detector */
    bool here;    /* on the route */
    bool meant;   /* for the caller */
    bool decides; /* it is the one whose action is taken */
} dv_data_reason;

/* A detector's index in that policy by its id, also of one that a user wrote; -1: there is none. */
ptrdiff_t dv_data_policy_kind(const dv_data_policy *policy, const char *id);

/* Why values of a detector (dv_data_policy_kind) are treated as they are. *ret_action: what is
 * done; *ret_searched: false: they are not looked for. Returns how many rules there are. */
size_t dv_data_policy_explain(const dv_data_policy *policy, const dv_principal *principal,
                              dv_slice route, size_t detector,
                              dv_data_reason reasons[DV_DATA_RULES_MAX],
                              dv_content_action *ret_action, bool *ret_searched);

typedef dv_sighting dv_data_sighting; /* core/finding.h */

typedef struct dv_data_outcome {
    const dv_data_sighting *sightings; /* in the arena */
    size_t sighting_count;
    uint64_t text_bytes; /* of a stream: of its texts, those that went out */
    bool changed;        /* body differs from what came in */
    dv_slice body;       /* to send on: the input itself or a rewrite in the arena */
    uint32_t values[DV_DATA_VOLUMES_MAX]; /* found, by the policy's volumes (volume.h) */
} dv_data_outcome;

/* What placeholders of this request stand for. In the request's arena; needed for the answer. */
typedef struct dv_data_context dv_data_context;
/* principal: entity text; the placeholders are the same for it in every turn and need no store:
 * the values come back from the conversation itself, or from this request. */
dv_must dv_result dv_data_context_new(dv_data_gate *gate, dv_slice principal, dv_arena *arena,
                                      dv_data_context **ret_context);

/* Inspects a request's body: every string value (and key), decoded; strings that are JSON
 * themselves (tool-call arguments) are looked into. On a block the verdict is denied
 * (SENSITIVE_DATA, detail names detector and place), as it is when there is too much to inspect.
 * Otherwise the verdict is left as it came. DV_OK means *ret_outcome is filled, whatever the
 * verdict; with any error the verdict is denied too. */
dv_must dv_result dv_data_gate_request(dv_data_gate *gate, const dv_data_policy *policy,
                                       dv_data_context *context, const dv_json *body,
                                       dv_arena *arena, dv_data_outcome *ret_outcome,
                                       dv_verdict *verdict);

/* Inspects a whole JSON answer: masks by policy, then restores this request's own placeholders
 * (escaped for where they stand, also inside tool-call arguments). */
dv_must dv_result dv_data_gate_answer(dv_data_gate *gate, const dv_data_policy *policy,
                                      dv_data_context *context, const dv_json *body,
                                      dv_arena *arena, dv_data_outcome *ret_outcome,
                                      dv_verdict *verdict);

/* Plain text bodies (text/plain and what a policy names), both directions. */
dv_must dv_result dv_data_gate_text(dv_data_gate *gate, const dv_data_policy *policy,
                                    dv_data_context *context, bool answer, dv_slice text,
                                    dv_arena *arena, dv_data_outcome *ret_outcome,
                                    dv_verdict *verdict);

/* A form's parts (base/multipart.h): fields as text, files by what their bytes are, whatever their
 * type says: text, JSON and lines of JSON are rewritten; UTF-16, gzip, zip and what office programs
 * write in them are read, and refused where something would have to be hidden; any other is
 * refused, as long as the policy hides anything. Names and types of parts are never rewritten,
 * names of files are. The boundary keeps its meaning. Only for a thread: dv_data_gate_hurry is not
 * heeded. */
dv_must dv_result dv_data_gate_form(dv_data_gate *gate, const dv_data_policy *policy,
                                    dv_data_context *context, dv_slice form, dv_slice boundary,
                                    dv_arena *arena, dv_data_outcome *ret_outcome,
                                    dv_verdict *verdict);

/* A file that an answer is, in the same way. */
dv_must dv_result dv_data_gate_file(dv_data_gate *gate, const dv_data_policy *policy,
                                    dv_data_context *context, dv_slice file, dv_arena *arena,
                                    dv_data_outcome *ret_outcome, dv_verdict *verdict);

/* A caller's own words as they may be recorded, whatever the policies say: all that any detector
 * finds is masked, and whatever begins like one of Dvara's keys. The text is the input or lives in
 * the arena. Errors: DV_ERR_NO_MEMORY, DV_ERR_TOO_LARGE: do not record it. */
dv_must dv_result dv_data_gate_clean(dv_data_gate *gate, dv_slice text, dv_arena *arena,
                                     dv_slice *ret_text);

/* Streams of server-sent events. Feed bytes as they come; what may go out is appended to out, whole
 * events only. Text that could still be the beginning of a value is held back until it can't;
 * `last` releases or masks everything. Events that are not understood are refused, not passed.
 * Keeps at most DV_LIMIT_STREAM_MEMORY from one event to the next. Understands OpenAI chat,
 * completions and responses, and Anthropic messages. The stream is freed with its arena.
 *
 * On a denial (told in *verdict, which is left alone otherwise) out ends with an error event of
 * that API and nothing more ever goes out: the caller closes the stream. */
typedef enum dv_stream_format {
    DV_STREAM_OPENAI,
    DV_STREAM_RESPONSES,
    DV_STREAM_ANTHROPIC,
    DV_STREAM_TEXT, /* other event streams: the data is text */
} dv_stream_format;

dv_must dv_result dv_data_stream_new(dv_data_gate *gate, const dv_data_policy *policy,
                                     dv_data_context *context, dv_stream_format format,
                                     dv_arena *arena, dv_data_stream **ret_stream);
dv_must dv_result dv_data_stream_feed(dv_data_stream *stream, dv_slice bytes, bool last,
                                      dv_buf *out, dv_verdict *verdict);
/* What was seen so far, and the usage that the final event told (-1: not told). */
void dv_data_stream_outcome(const dv_data_stream *stream, dv_data_outcome *ret_outcome,
                            int64_t *ret_input_tokens, int64_t *ret_output_tokens);
/* The caller did not ask for usage, the gate did: of OpenAI chunks, the one that tells only it is
 * kept back. */
void dv_data_stream_hide_usage(dv_data_stream *stream);
/* Values that were found so far, by the policy's volumes: DV_DATA_VOLUMES_MAX of them. */
const uint32_t *dv_data_stream_values(const dv_data_stream *stream);
/* The event that clients take for the stream's end went out. */
bool dv_data_stream_is_over(const dv_data_stream *stream);
/* Bytes that the stream keeps from one event to the next. */
size_t dv_data_stream_memory(const dv_data_stream *stream);
