/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/loss.h"

#include "base/codec.h"
#include "engine/detect/decode_view.h"
#include "room/data/gate/gate_private.h"

#include <pthread.h>

/* Sets of fingerprints in the gate.
 *
 * 1. A set is mapped once in a process, however many policies look for it, and lives as long as one
 *    of them. It is the one that dvarad checked and published: another file under that name is
 *    refused.
 * 2. Whatever goes wrong is an error, which denies, whatever the action is.
 * 3. What was met is told once where it stands in clear and decoded.
 * 4. In a stream nothing goes out that could be the beginning of a value. */

enum {
    NAME_MAX_BYTES = 32,
    PREFIX_BYTES = sizeof("fingerprint:") - 1,
    PATH_MAX_BYTES = 4000,
    LOSS_ARENA = 1 << 20,
    METS_FIRST = 8,
    METS_MAX = 4096,  /* told of one text; */
    METS_LEAST = 512, /* and of each set, so that many of one do not hide another that blocks */
    BYTE_EFFORT = 6,  /* nanoseconds that a byte takes for each set, about */
};

/* ---- sets that are open ---- */

typedef struct shared_set {
    struct shared_set *next;
    dv_fingerprint_set *set;
    size_t references;
} shared_set;

static pthread_mutex_t shelf_lock = PTHREAD_MUTEX_INITIALIZER;
static shared_set *shelf;

static shared_set *find_shared(const uint8_t id[DV_FINGERPRINT_ID_LEN])
{
    for (shared_set *s = shelf; s != NULL; s = s->next) {
        if (memcmp(dv_fingerprint_set_about(s->set)->id, id, DV_FINGERPRINT_ID_LEN) == 0) {
            return s;
        }
    }
    return NULL;
}

static dv_result open_new(const char *path, const uint8_t id[DV_FINGERPRINT_ID_LEN],
                          shared_set **ret_shared, dv_error *error)
{
    dv_auto(fingerprint_set) dv_fingerprint_set *set = NULL;
    DV_TRY(dv_fingerprint_set_open(path, &set, error));
    if (memcmp(dv_fingerprint_set_about(set)->id, id, DV_FINGERPRINT_ID_LEN) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "%s was changed since the configuration was loaded: dvara reload",
                            path);
    }
    shared_set *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *made = (shared_set){.next = shelf, .set = set};
    set = NULL;
    shelf = made;
    *ret_shared = made;
    return DV_OK;
}

static dv_result take_shared(const char *path, const uint8_t id[DV_FINGERPRINT_ID_LEN],
                             shared_set **ret_shared, dv_error *error)
{
    dv_result result = DV_OK;
    pthread_mutex_lock(&shelf_lock);
    shared_set *shared = find_shared(id);
    if (shared == NULL) {
        result = open_new(path, id, &shared, error);
    }
    if (result == DV_OK) {
        shared->references++;
        *ret_shared = shared;
    }
    pthread_mutex_unlock(&shelf_lock);
    return result;
}

static void give_shared(shared_set *shared)
{
    pthread_mutex_lock(&shelf_lock);
    if (--shared->references == 0) {
        shared_set **at = &shelf;
        while (*at != shared) {
            at = &(*at)->next;
        }
        *at = shared->next;
        dv_fingerprint_set_close(shared->set);
        free(shared);
    }
    pthread_mutex_unlock(&shelf_lock);
}

/* ---- a policy's ---- */

typedef struct entry {
    shared_set *shared;
    char name[PREFIX_BYTES + NAME_MAX_BYTES + 1];
    dv_content_action action;
    dv_slice routes[DV_DATA_LOSS_ROUTES_MAX]; /* none: every one */
    size_t route_count;
} entry;

struct dv_data_loss {
    dv_arena *arena; /* of the routes' names */
    entry entries[DV_FINGERPRINT_SETS];
    const dv_fingerprint_set *sets[DV_FINGERPRINT_SETS];
    size_t count;
};

void dv_data_loss_free(dv_data_loss *loss)
{
    if (loss == NULL) {
        return;
    }
    for (size_t i = 0; i < loss->count; i++) {
        give_shared(loss->entries[i].shared);
    }
    dv_arena_free(loss->arena);
    free(loss);
}

static dv_result wrong(dv_error *error, const char *what)
{
    return dv_error_set(error, DV_ERR_INVALID, "data policy: a fingerprint's %s", what);
}

static dv_result read_text(const dv_json *json, uint32_t object, const char *name, size_t most,
                           dv_arena *arena, const char **ret_text, dv_error *error)
{
    uint32_t token = dv_json_member(json, object, name);
    dv_slice text = {NULL, 0};
    if (token != 0 && json->tokens[token].type == DV_JSON_STRING) {
        DV_TRY(dv_json_string(json, token, arena, &text));
    }
    if (text.len == 0 || text.len > most || memchr(text.ptr, 0, text.len) != NULL) {
        return wrong(error, "name, file, id and action are texts");
    }
    *ret_text = dv_arena_printf(arena, "%.*s", DV_SLICE_ARGS(text));
    return *ret_text == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result read_action(const char *text, dv_content_action *ret_action, dv_error *error)
{
    static const dv_content_action actions[] = {DV_ACTION_MONITOR, DV_ACTION_ALERT,
                                                DV_ACTION_BLOCK};
    for (size_t i = 0; i < DV_ARRAY_LEN(actions); i++) {
        if (strcmp(text, dv_content_action_name(actions[i])) == 0) {
            *ret_action = actions[i];
            return DV_OK;
        }
    }
    return wrong(error, "action is monitor, alert or block");
}

static dv_result read_routes(const dv_json *json, uint32_t object, dv_arena *arena, entry *e,
                             dv_error *error)
{
    uint32_t list = dv_json_member(json, object, "routes");
    if (list == 0) {
        return DV_OK;
    }
    if (json->tokens[list].type != DV_JSON_ARRAY) {
        return wrong(error, "routes are a list");
    }
    for (uint32_t item = list + 1; item < json->tokens[list].next; item = json->tokens[item].next) {
        dv_slice text;
        if (json->tokens[item].type != DV_JSON_STRING ||
            e->route_count == DV_ARRAY_LEN(e->routes)) {
            return wrong(error, "routes are names, 64 at most");
        }
        DV_TRY(dv_json_string(json, item, arena, &text));
        DV_TRY(dv_arena_copy(arena, text, &e->routes[e->route_count]));
        e->route_count++;
    }
    return DV_OK;
}

static dv_result read_entry(const dv_json *json, uint32_t object, dv_data_loss *loss,
                            dv_error *error)
{
    entry *e = &loss->entries[loss->count];
    const char *name = NULL, *file = NULL, *id = NULL, *action = NULL;
    uint8_t digest[DV_FINGERPRINT_ID_LEN];
    if (json->tokens[object].type != DV_JSON_OBJECT) {
        return wrong(error, "place holds no object");
    }
    DV_TRY(read_text(json, object, "name", NAME_MAX_BYTES, loss->arena, &name, error));
    DV_TRY(read_text(json, object, "file", PATH_MAX_BYTES, loss->arena, &file, error));
    DV_TRY(read_text(json, object, "id", 2 * sizeof(digest), loss->arena, &id, error));
    DV_TRY(read_text(json, object, "action", NAME_MAX_BYTES, loss->arena, &action, error));
    DV_TRY(read_action(action, &e->action, error));
    DV_TRY(read_routes(json, object, loss->arena, e, error));
    if (strlen(id) != 2 * sizeof(digest) ||
        dv_hex_decode(dv_slice_str(id), digest, sizeof(digest)) != DV_OK) {
        return wrong(error, "id is no SHA-256");
    }
    (void)snprintf(e->name, sizeof(e->name), "fingerprint:%s", name);
    DV_TRY(take_shared(file, digest, &e->shared, error));
    loss->sets[loss->count++] = e->shared->set;
    return DV_OK;
}

static dv_result read_entries(const dv_json *json, uint32_t list, dv_data_loss *loss,
                              dv_error *error)
{
    if (json->tokens[list].type != DV_JSON_ARRAY) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: 'fingerprints' is no list");
    }
    loss->arena = dv_arena_new(LOSS_ARENA);
    if (loss->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t item = list + 1; item < json->tokens[list].next; item = json->tokens[item].next) {
        if (loss->count == DV_FINGERPRINT_SETS) {
            return dv_error_set(error, DV_ERR_INVALID, "data policy: more than %d fingerprints",
                                DV_FINGERPRINT_SETS);
        }
        DV_TRY(read_entry(json, item, loss, error));
    }
    return DV_OK;
}

dv_result dv_data_loss_read(const dv_json *json, dv_data_loss **ret_loss, dv_error *error)
{
    uint32_t list = dv_json_member(json, 0, "fingerprints");
    if (list == 0) {
        *ret_loss = NULL;
        return DV_OK;
    }
    dv_data_loss *loss = calloc(1, sizeof(*loss));
    if (loss == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = read_entries(json, list, loss, error);
    if (result != DV_OK) {
        dv_data_loss_free(loss);
        return result;
    }
    *ret_loss = loss;
    return DV_OK;
}

uint32_t dv_data_loss_on(const dv_data_loss *loss, dv_slice route)
{
    uint32_t sets = 0;
    for (size_t i = 0; loss != NULL && i < loss->count; i++) {
        const entry *e = &loss->entries[i];
        bool here = e->route_count == 0;
        for (size_t r = 0; r < e->route_count && !here; r++) {
            here = dv_slice_eq(e->routes[r], route);
        }
        sets |= (uint32_t)here << i;
    }
    return sets;
}

uint32_t dv_data_loss_all(const dv_data_loss *loss)
{
    return loss == NULL ? 0 : (1U << loss->count) - 1;
}

uint32_t dv_data_loss_blocks(const dv_data_loss *loss)
{
    uint32_t sets = 0;
    for (size_t i = 0; loss != NULL && i < loss->count; i++) {
        sets |= (uint32_t)(loss->entries[i].action == DV_ACTION_BLOCK) << i;
    }
    return sets;
}

size_t dv_data_loss_count(const dv_data_loss *loss)
{
    return loss == NULL ? 0 : loss->count;
}

const dv_fingerprint_set *const *dv_data_loss_sets(const dv_data_loss *loss)
{
    return loss->sets;
}

const char *dv_data_loss_name(const dv_data_loss *loss, uint32_t set)
{
    return loss->entries[set].name;
}

dv_content_action dv_data_loss_action(const dv_data_loss *loss, uint32_t set)
{
    return loss->entries[set].action;
}

/* ---- searching ---- */

/* One search; where it stands in the text that was searched. */
typedef struct looking {
    dv_data_pass *pass;
    const dv_view *view; /* NULL: the text itself */
    uint64_t begin;      /* where the piece begins, counted as the matcher does */
    size_t from;         /* and in the text */
} looking;

static bool overlaps(const dv_data_met *a, const dv_data_met *b)
{
    bool same = a->set == b->set &&
                (a->kind == DV_FINGERPRINT_DOCUMENT) == (b->kind == DV_FINGERPRINT_DOCUMENT);
    return same && (a->kind == DV_FINGERPRINT_DOCUMENT ? a->document == b->document
                                                       : a->start < b->end && b->start < a->end);
}

/* What is decoded holds what stands there in clear, too. */
static bool is_known(const dv_data_mets *mets, const dv_data_met *met)
{
    for (size_t i = 0; met->encoded && i < mets->count; i++) {
        if (overlaps(&mets->list[i], met)) {
            return true;
        }
    }
    return false;
}

static dv_result add_met(dv_data_pass *pass, const dv_data_met *met)
{
    dv_data_mets *mets = &pass->mets;
    bool full = mets->count >= METS_MAX && mets->of_set[met->set] >= METS_LEAST;
    if (full || is_known(mets, met)) {
        return DV_OK;
    }
    dv_data_met *list =
        dv_arena_grow(pass->temp, mets->list, mets->count, &mets->room, sizeof(*list), METS_FIRST);
    if (list == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    mets->list = list;
    list[mets->count++] = *met;
    mets->of_set[met->set]++;
    return DV_OK;
}

static dv_result on_hit(void *data, const dv_fingerprint_hit *hit)
{
    const looking *l = data;
    size_t start = hit->start > l->begin ? (size_t)(hit->start - l->begin) : 0;
    size_t end = hit->end > l->begin ? (size_t)(hit->end - l->begin) : 0;
    dv_data_met met = {.start = l->from + start,
                       .end = l->from + end,
                       .set = hit->set,
                       .document = hit->document,
                       .kind = hit->kind};
    if (l->view != NULL) {
        if (end == 0 || end > l->view->len || start >= end) {
            return DV_ERR_INTERNAL;
        }
        met.start = l->view->start[start];
        met.end = l->view->end[end - 1];
        met.encoded = true;
        if (met.end <= l->from) {
            return DV_OK; /* of what went out before */
        }
    }
    return add_met(l->pass, &met);
}

static dv_result make_matcher(dv_data_gate *gate)
{
    return gate->matcher != NULL ? DV_OK : dv_fingerprint_matcher_new(&gate->matcher);
}

static dv_fingerprint_job job_of(const dv_data_pass *pass, bool more, dv_fingerprint_told told,
                                 void *data)
{
    const dv_data_policy *policy = pass->policy;
    return (dv_fingerprint_job){.sets = dv_data_loss_sets(policy->loss),
                                .set_count = dv_data_loss_count(policy->loss),
                                .enabled = policy->loss_on,
                                .holds = policy->loss_on,
                                .more = more,
                                .told = told,
                                .data = data};
}

/* A copy of the stream's state, or a new one. */
static dv_fingerprint_state *state_for(const dv_data_pass *pass, const dv_fingerprint_state *of)
{
    size_t count = dv_data_loss_count(pass->policy->loss);
    size_t size = dv_fingerprint_state_size(count);
    dv_fingerprint_state *state = dv_arena_alloc_raw(pass->temp, size);
    if (state != NULL && of != NULL) {
        memcpy(state, of, size);
    } else if (state != NULL) {
        dv_fingerprint_state_init(state, count);
    }
    return state;
}

static dv_result ignore(void *data, const dv_fingerprint_hit *hit)
{
    return DV_OK;
}

static uint64_t effort_of(const dv_data_pass *pass, size_t len)
{
    return (uint64_t)len * BYTE_EFFORT * dv_data_loss_count(pass->policy->loss);
}

dv_result dv_data_loss_look(dv_data_pass *pass, dv_slice text, size_t from)
{
    size_t hold = 0;
    dv_slice piece = dv_slice_sub(text, from, SIZE_MAX);
    pass->mets = (dv_data_mets){.list = NULL};
    DV_TRY(make_matcher(pass->gate));
    DV_TRY(dv_detect_scratch_spend(pass->gate->scratch, effort_of(pass, piece.len)));
    dv_fingerprint_state *state = state_for(pass, pass->loss_state);
    if (state == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    looking l = {.pass = pass, .begin = dv_fingerprint_state_bytes(state), .from = from};
    const dv_fingerprint_job job = job_of(pass, pass->more, on_hit, &l);
    DV_TRY(dv_fingerprint_find(pass->gate->matcher, &job, state, piece, &hold));
    if (pass->more) {
        pass->hold = DV_MIN(pass->hold, from + hold);
    }
    return DV_OK;
}

dv_result dv_data_loss_seen(void *data, const dv_view *view, size_t from, bool on)
{
    dv_data_pass *pass = data;
    size_t hold = 0;
    DV_TRY(dv_detect_scratch_spend(pass->gate->scratch, effort_of(pass, view->len)));
    dv_fingerprint_state *state = state_for(pass, NULL);
    if (state == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    looking l = {.pass = pass, .view = view, .from = from};
    const dv_fingerprint_job job = job_of(pass, on, on_hit, &l);
    DV_TRY(dv_fingerprint_find(pass->gate->matcher, &job, state,
                               dv_slice_of(view->bytes, view->len), &hold));
    if (on && hold < view->len) {
        pass->hold = DV_MIN(pass->hold, DV_MAX((size_t)view->start[hold], from));
    }
    return DV_OK;
}

dv_result dv_data_loss_advance(dv_data_pass *pass, dv_fingerprint_state *state, dv_slice text)
{
    const dv_fingerprint_job job = job_of(pass, true, ignore, NULL);
    DV_TRY(make_matcher(pass->gate));
    return dv_fingerprint_find(pass->gate->matcher, &job, state, text, NULL);
}

bool dv_data_loss_is_clean(dv_data_pass *pass, dv_slice text)
{
    const dv_data_mets kept = pass->mets;
    const dv_fingerprint_state *state = pass->loss_state;
    bool more = pass->more;
    size_t hold = pass->hold;
    pass->loss_state = NULL;
    pass->more = false;
    bool clean = dv_data_loss_look(pass, text, 0) == DV_OK && pass->mets.count == 0;
    pass->mets = kept;
    pass->loss_state = state;
    pass->more = more;
    pass->hold = hold;
    return clean;
}
