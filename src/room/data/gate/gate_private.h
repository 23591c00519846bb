/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the data room's gate. */

#include "crypto/hash.h"
#include "engine/detect/action/action.h"
#include "engine/detect/custom.h"
#include "engine/detect/detect.h"
#include "room/data/gate/data_gate.h"
#include "room/data/gate/known.h"
#include "room/data/gate/loss.h"
#include "room/data/gate/names.h"
#include "room/data/gate/volume.h"

/* Keys of the engine's actions, prepared. */
typedef struct dv_data_acting {
    uint8_t key[DV_ACTION_KEY_LEN];
    dv_action_tools *tools; /* NULL: none */
} dv_data_acting;

struct dv_data_gate {
    const dv_detect_rules *rules;
    dv_data_detectors *made; /* the rules, where they are its own */
    dv_detect_scratch *scratch;
    dv_hmac *principal_keys;       /* of a principal's text: the key of its placeholders */
    bool borrows_keys;             /* principal_keys are another gate's */
    uint64_t effort;               /* see dv_data_gate_hurry */
    dv_known_texts known;          /* to the detectors, */
    uint64_t known_custom;         /* and these of users */
    dv_known_texts clean;          /* also valid, and without our own keys */
    dv_arena *events;              /* work on one event of any stream; made with the first */
    struct dv_tagger_model *names; /* and its tagger; opened when a policy asks for names */
    struct dv_tagger *tagger;
    dv_arena *decoding;                    /* what stands encoded; made when it is asked for */
    dv_fingerprint_matcher *matcher;       /* the same, of own data */
    dv_data_acting acting[2];              /* the latest first */
    uint8_t action_key[DV_ACTION_KEY_LEN]; /* of policies that are read */
    bool has_action_key;
    dv_buf made_text; /* what one value became */
};

enum {
    DV_DATA_MADE_MAX = 32, /* policies that are kept for those whom rules speak of */
    DV_DATA_RULES_ARENA = 8 << 20,
};

/* Whom a rule is about, on which routes, and of which values. */
typedef struct dv_data_scope {
    dv_detector_set detectors;
    const dv_slice *who; /* Cedar's text: Role::"support"; none: everyone */
    size_t who_count;
    const dv_slice *routes; /* names; none: every one */
    size_t route_count;
} dv_data_scope;

/* An action for some principals, on some routes. */
typedef struct dv_data_rule {
    dv_data_scope scope;
    uint8_t action;   /* dv_content_action */
    uint16_t setting; /* of dv_data_policy.settings */
    bool overrides;   /* those that do not */
    uint32_t number;  /* in the list of dvara.yaml, from 0 */
} dv_data_rule;

/* How many values may pass over time. */
typedef struct dv_data_volume {
    dv_data_scope scope;
    dv_slice name;
    uint64_t values;
    dv_time per;
    dv_volume_action action;
} dv_data_volume;

/* What the policy is where these of its rules match. */
typedef struct dv_data_made {
    uint64_t rules; /* a bit each */
    uint32_t loss;  /* and of the sets that are looked for */
    const dv_data_policy *policy;
} dv_data_made;

struct dv_data_policy {
    dv_detector_set enabled;         /* detectors that take part */
    uint8_t actions[DV_DETECT_MAX];  /* dv_content_action, by detector index */
    uint16_t setting[DV_DETECT_MAX]; /* and its settings: of the list */
    const dv_action *settings;       /* the first has none */
    dv_action *setting_list;         /* the same while the policy is read */
    size_t setting_count;
    uint8_t *key;             /* of the engine's actions; NULL: none. Not of those that were
                                 made of it for rules */
    bool keyed;               /* some action needs it */
    dv_detect_custom *custom; /* users' detectors; NULL: none. As the key */
    bool rewrites;            /* some action masks, replaces or blocks, or a volume does: what
                                 could hide values is refused */
    bool names;               /* some of the enabled kinds are names */
    bool decode;              /* values that stand encoded are looked for, too */
    dv_data_loss *loss;       /* own data that is looked for; NULL: none */
    uint32_t loss_on;         /* which sets of it: a bit each */
    dv_arena *arena;          /* of its own rules; NULL: it has none */
    dv_data_rule *rules;
    size_t rule_count;
    dv_data_made made[DV_DATA_MADE_MAX];
    size_t made_count;
    const dv_data_volume *volumes;
    size_t volume_count;
    dv_detector_set counted; /* by some volume: found where they are allowed, too */
    dv_detector_set known;   /* of known.h: the detectors, and whether texts are decoded */
};

/* The kinds that a policy speaks of: those that all do (names.h), and its users' own; NULL: none is
 * called so, there are gaps. One past the last: */
size_t dv_data_kind_end(const dv_data_policy *policy);
const dv_detector_info *dv_data_kind(const dv_data_policy *policy, size_t index);
/* Reads "custom" of a policy, whose detectors then take part. Errors: those of
 * dv_detect_custom_take. */
dv_must dv_result dv_data_custom_read(const dv_json *json, dv_data_policy *policy, dv_arena *arena,
                                      dv_error *error);

/* Fills in what follows from enabled, actions and the switches. */
void dv_data_policy_complete(dv_data_policy *policy);
/* An action of the policy (action_json.h), whose settings it keeps. Errors: DV_ERR_INVALID, which
 * says where. */
dv_must dv_result dv_data_action_read(const dv_json *json, uint32_t token, const char *where,
                                      dv_data_policy *policy, dv_arena *arena, uint8_t *ret_action,
                                      uint16_t *ret_setting, dv_error *error);
/* Reads "rules" of a policy whose detectors are known. */
dv_must dv_result dv_data_rules_read(const dv_json *json, dv_data_policy *policy, dv_error *error);
/* Reads "volumes" of a policy whose rules are read, and has it find what they count. */
dv_must dv_result dv_data_volumes_read(const dv_json *json, dv_data_policy *policy,
                                       dv_error *error);
/* Whether one of them refuses what passes it. */
bool dv_data_volumes_block(const dv_data_policy *policy);
/* The arena of what a policy's lists hold, made with the first. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_policy_arena(dv_data_policy *policy, dv_arena **ret_arena);

/* Reads whom and what a rule is about; detectors: `enabled` ones, where it does not name them. */
dv_must dv_result dv_data_scope_read(const dv_json *json, uint32_t rule, dv_arena *arena,
                                     const dv_data_policy *policy, const dv_detector_set *enabled,
                                     dv_data_scope *scope, dv_error *error);
/* principal: NULL is nobody whom a rule could name. */
bool dv_data_scope_meets(const dv_data_scope *scope, const dv_principal *principal, dv_slice route);

/* ---- placeholders ---- */

/* The placeholder of a value of that detector's kind, made when it is not there yet. Text and
 * value live in the context's arena. */
dv_must dv_result dv_data_placeholder_make(dv_data_context *context, const char *label,
                                           dv_slice value, dv_slice *ret_text);

/* ---- the engine's actions ---- */

/* One of the texts that values of a request became. */
typedef struct dv_data_made_text {
    dv_slice text;  /* ptr NULL: a free slot */
    uint8_t action; /* dv_content_action: what made it */
    bool common;    /* a real value may well be the same: a date, a short number */
    bool guessable; /* or can be made the same by some thousand guesses */
} dv_data_made_text;

/* All of them, in the request's arena. */
typedef struct dv_data_made_texts {
    dv_data_made_text *slots; /* open addressing; a power of two of them, half full at most */
    size_t slot_count;
    size_t count;
} dv_data_made_texts;

/* kept: so many of its letters and digits stood in the value. */
dv_must dv_result dv_data_made_add(dv_data_made_texts *made, dv_content_action action,
                                   dv_slice text, size_t kept, dv_arena *arena);
/* Whether the text, on which that action would be taken, is one of them and no value. */
bool dv_data_made_has(const dv_data_made_texts *made, dv_content_action action, bool answer,
                      dv_slice text);
/* The same for what a context's request made. */
dv_must dv_result dv_data_context_made(dv_data_context *context, dv_content_action action,
                                       dv_slice text, size_t kept);
bool dv_data_context_has_made(const dv_data_context *context, dv_content_action action, bool answer,
                              dv_slice text);

/* The gate's key for a policy that is read (none where the gate is NULL or has none), and the end
 * of it. */
dv_must dv_result dv_data_act_key(const dv_data_gate *gate, dv_data_policy *policy);
void dv_data_act_forget(dv_data_policy *policy);
void dv_data_act_release(dv_data_gate *gate);

/* One of the context's placeholders in a text. */
typedef struct dv_data_place {
    size_t start;
    size_t end;
    dv_slice value;
} dv_data_place;

/* The first placeholder of the context at or after `from`. */
bool dv_data_placeholder_find(const dv_data_context *context, dv_slice text, size_t from,
                              dv_data_place *ret_place);
/* For text that goes on: the first byte at or after `from` from which one of the context's
 * placeholders could begin and not yet be whole; text.len when none could. */
size_t dv_data_placeholder_hold(const dv_data_context *context, dv_slice text, size_t from);

/* ---- what to do with what was found ---- */

/* One inspection: a body, or a whole stream. */
typedef struct dv_data_pass {
    dv_data_gate *gate;
    const dv_data_policy *policy;
    dv_data_context *context;
    dv_verdict *verdict;
    bool answer;
    dv_arena *arena; /* sightings */
    dv_arena *temp;  /* everything else; may be the same */
    dv_data_sighting *sightings;
    size_t sighting_count;
    size_t sighting_room;
    const dv_finding *found; /* by the last search, in temp */
    size_t found_count;
    const char *root;  /* JSON pointer before the places of what is found; NULL: none */
    bool folds;        /* sightings of one kind at one place are one: of a stream */
    bool cut;          /* of a stream: what is searched begins in the middle of its text, */
    bool more;         /* and goes on */
    size_t hold;       /* the first byte that waits for what goes on encoded; set by the search */
    size_t noted;      /* bytes that they took up in the arena */
    dv_data_mets mets; /* own data that the last search met, in temp */
    const dv_fingerprint_state *loss_state; /* of the stream's text that is searched; NULL: a text
                                               that is all there */
    uint32_t values[DV_DATA_VOLUMES_MAX];   /* found, by the policy's volumes */
} dv_data_pass;

/* A stretch of a text and what stands there instead. */
typedef struct dv_data_edit {
    size_t start;
    size_t end;
    dv_slice text;
} dv_data_edit;

typedef struct dv_data_edits {
    dv_data_edit *list;
    size_t count;
    size_t room;
} dv_data_edits;

dv_must dv_result dv_data_edits_add(dv_data_edits *edits, dv_arena *arena, size_t start, size_t end,
                                    dv_slice text);
/* The text with the edits made, in the arena. The edits are sorted; they may not overlap. */
dv_must dv_result dv_data_edits_apply(dv_data_edits *edits, dv_slice text, dv_arena *arena,
                                      dv_slice *ret_text);

/* Denies, in the words of the direction that is inspected, unless it is denied already. */
void dv_data_pass_deny(dv_data_pass *pass, const char *format, ...) dv_printf(2, 3);

/* Searches text from `from` and says what is to change: findings by policy, and in answers the
 * context's placeholders. A placeholder within a finding is left alone when the finding is not
 * larger, otherwise the finding takes it in. Both kinds come sorted, in pass->temp. */
typedef struct dv_data_hit {
    size_t start;
    size_t end;
    const dv_finding *finding; /* NULL: a placeholder */
    dv_slice value;            /* of the placeholder */
} dv_data_hit;

/* Adds the names of the text, and what of them waits (pass->hold), to what was found. */
dv_must dv_result dv_data_names_find(dv_data_pass *pass, dv_slice text, size_t from,
                                     const dv_finding **found, size_t *count);
void dv_data_names_release(dv_data_gate *gate);

/* Has the gate look for the users' detectors of the pass's policy, and no others. Before any
 * search. */
void dv_data_custom_use(dv_data_pass *pass);

/* Whether no detector finds anything in a short text; false as well when that can't be told. */
bool dv_data_pass_is_clean(dv_data_pass *pass, dv_slice text);

dv_must dv_result dv_data_pass_search(dv_data_pass *pass, dv_slice text, size_t from,
                                      dv_data_hit **ret_hits, size_t *ret_count);

/* Decides about one hit, and notes the sighting. *ret_text: what stands there instead, unescaped;
 * ptr NULL: the hit stays as it is. On a block the verdict is denied. */
dv_must dv_result dv_data_pass_decide(dv_data_pass *pass, dv_slice text, const dv_data_hit *hit,
                                      const char *place, dv_slice *ret_text);

/* What the value becomes by the engine's action that the policy has for that kind, in pass->temp. A
 * request's context takes note of it. */
dv_must dv_result dv_data_act(dv_data_pass *pass, size_t kind, const dv_finding *finding,
                              dv_slice value, dv_slice *ret_text);

/* Whether a hit lies within a token that the gate made of a value, under the policy's key. */
dv_must dv_result dv_data_act_is_token(dv_data_pass *pass, dv_slice text, const dv_data_hit *hit,
                                       bool *ret_is);

/* ---- own data ---- */

/* Looks for the policy's sets in the text from byte `from` on: sets pass->mets, and lowers
 * pass->hold to what waits. Errors: DV_ERR_AGAIN, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_loss_look(dv_data_pass *pass, dv_slice text, size_t from);
/* The same in what was decoded of the text (a dv_encoded's `seen`); adds to pass->mets. */
struct dv_view;
dv_must dv_result dv_data_loss_seen(void *pass, const struct dv_view *view, size_t from, bool on);
/* Notes that the text went out. */
dv_must dv_result dv_data_loss_advance(dv_data_pass *pass, dv_fingerprint_state *state,
                                       dv_slice text);
/* Whether nothing of the sets stands in a short text; false as well when that can't be told. */
bool dv_data_loss_is_clean(dv_data_pass *pass, dv_slice text);
/* Notes what was met at that place. Where it blocks the verdict is denied. */
dv_must dv_result dv_data_pass_meet(dv_data_pass *pass, const dv_data_met *met, const char *place);

/* Appends text as the inside of a JSON string, in the arena. */
dv_must dv_result dv_data_escape(dv_slice text, dv_arena *arena, dv_slice *ret_text);

/* Fills the outcome of a pass whose inspection came to that result; whatever went wrong is a
 * denial, too, but for DV_ERR_AGAIN. text: all that was inspected. */
dv_must dv_result dv_data_pass_finish(dv_data_pass *pass, dv_result result, dv_data_edits *edits,
                                      dv_slice text, dv_data_outcome *ret_outcome);

/* Inspects a text that is nothing else, and adds its edits. */
dv_must dv_result dv_data_text_inspect(dv_data_pass *pass, dv_slice text, dv_data_edits *edits);

/* Inspects all strings, names and long whole numbers of a document but the tokens marked in
 * `skip` (one byte a token; NULL: none), and adds the edits of its text. */
dv_must dv_result dv_data_body_inspect(dv_data_pass *pass, const dv_json *body, const uint8_t *skip,
                                       dv_data_edits *edits);
