/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one question a line, tab-separated: POLICIES-FILE, ENTITIES-FILE, and a JSON object with
 * principal, action, resource (each {"type", "id"}) and context. Answers each with a line of JSON:
 * {"decision", "reason", "errors"}, or {"refused": WHY}. */
#include "base/caps.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/cedar/entities.h"

typedef struct question {
    dv_slice policies;
    dv_slice entities;
    dv_slice request;
} question;

/* The files of the last question: one case asks several times. */
typedef struct state {
    dv_arena *arena;
    dv_cedar_policy_set *set;
    const dv_cedar_entities *entities;
    char name[8192];
    dv_error error;
    dv_result loaded;
} state;

static dv_result read_file(dv_slice path, dv_arena *arena, dv_slice *ret_text, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CEDAR_ENTITIES);
    const char *name = dv_arena_printf(arena, "%.*s", DV_SLICE_ARGS(path));

    DV_TRY(dv_file_read(name, &text, error));
    return dv_arena_copy(arena, dv_buf_slice(&text), ret_text);
}

static dv_result load_files(state *s, const question *q)
{
    dv_slice text = {0};

    DV_TRY(read_file(q->policies, s->arena, &text, &s->error));
    DV_TRY(dv_cedar_parse(text, &s->set, &s->error));
    DV_TRY(read_file(q->entities, s->arena, &text, &s->error));
    return dv_cedar_entities_parse(text, s->arena, &s->entities, &s->error);
}

static void load(state *s, const question *q)
{
    char name[sizeof(s->name)];

    snprintf(name, sizeof(name), "%.*s\t%.*s", DV_SLICE_ARGS(q->policies),
             DV_SLICE_ARGS(q->entities));
    if (strcmp(name, s->name) == 0) {
        return;
    }
    memcpy(s->name, name, sizeof(name));
    dv_cedar_policy_set_free(s->set);
    s->set = NULL;
    s->error = (dv_error){0};
    dv_arena_reset(s->arena);
    s->loaded = load_files(s, q);
}

static dv_result read_uid(const dv_json *json, const char *name, dv_arena *arena, dv_slice *ret_uid)
{
    dv_slice type = {0}, id = {0};
    uint32_t token = dv_json_member(json, 0, name);

    DV_TRY(dv_json_string(json, dv_json_member(json, token, "type"), arena, &type));
    DV_TRY(dv_json_string(json, dv_json_member(json, token, "id"), arena, &id));
    return dv_cedar_uid(arena, type, id, ret_uid);
}

/* The text of a container, from its opening to its closing bracket. */
static dv_slice text_of(const dv_json *json, uint32_t token)
{
    return dv_json_raw(json, token);
}

static dv_result decide(const state *s, dv_slice text, dv_arena *arena, dv_cedar_answer *ret_answer,
                        dv_error *error)
{
    const dv_json_limits limits = {.depth = DV_LIMIT_CEDAR_DEPTH, .tokens = DV_LIMIT_JSON_TOKENS};
    dv_cedar_request request = {0};
    dv_cedar_value context;
    dv_json json;

    DV_TRY(dv_json_scan(text, &limits, arena, &json, error));
    DV_TRY(read_uid(&json, "principal", arena, &request.principal));
    DV_TRY(read_uid(&json, "action", arena, &request.action));
    DV_TRY(read_uid(&json, "resource", arena, &request.resource));
    DV_TRY(dv_cedar_record_parse(text_of(&json, dv_json_member(&json, 0, "context")), arena,
                                 &context, error));
    request.context = &context;
    return dv_cedar_decide(s->set, &request, dv_cedar_entities_lookup, (void *)s->entities, arena,
                           ret_answer);
}

static void print_ids(const char *name, const dv_slice *ids, size_t count)
{
    printf(", \"%s\": [", name);
    for (size_t i = 0; i < count; i++) {
        printf("%s\"%.*s\"", i == 0 ? "" : ", ", DV_SLICE_ARGS(ids[i]));
    }
    printf("]");
}

static void print_refusal(dv_result result, const dv_error *error)
{
    printf("{\"refused\": \"%s at %d:%d: ", dv_result_name(result), error->line, error->column);
    for (const char *c = error->message; *c != '\0'; c++) {
        putchar(*c == '"' || *c == '\\' || (unsigned char)*c < ' ' ? '?' : *c);
    }
    printf("\"}\n");
}

static void answer(state *s, const question *q)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_cedar_answer told = {0};
    dv_error error = {0};

    load(s, q);
    if (s->loaded != DV_OK) {
        print_refusal(s->loaded, &s->error);
        return;
    }
    dv_result result = decide(s, q->request, arena, &told, &error);
    if (result != DV_OK) {
        print_refusal(result, &error);
        return;
    }
    printf("{\"decision\": \"%s\"", told.decision == DV_ALLOW ? "allow" : "deny");
    print_ids("reason", told.reasons, told.reason_count);
    print_ids("errors", told.errors, told.error_count);
    printf("}\n");
}

int main(void)
{
    dv_auto(free) char *line = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new((size_t)1 << 30);
    state s = {.arena = arena};
    size_t capacity = 0;
    ssize_t len;

    while (arena != NULL && (len = getline(&line, &capacity, stdin)) > 0) {
        dv_slice rest = dv_slice_of(line, (size_t)len - (line[len - 1] == '\n'));
        question q = {0};
        if (!dv_slice_split(&rest, '\t', &q.policies) ||
            !dv_slice_split(&rest, '\t', &q.entities)) {
            return 1;
        }
        q.request = rest;
        answer(&s, &q);
    }
    dv_cedar_policy_set_free(s.set);
    return arena == NULL || ferror(stdin) ? 1 : 0;
}
