/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one question a line, tab-separated, and answers each with a line of JSON:
 *   validate POLICIES-FILE SCHEMA-FILE
 *     {"valid", "problems"}
 *   decide POLICIES-FILE SCHEMA-FILE ENTITIES-FILE CHECK REQUEST
 *     REQUEST is a JSON object with principal, action, resource (each {"type", "id"}) and context;
 *     CHECK is "check" when it must keep to the schema. {"decision", "reason", "errors"}
 * or, to both, {"refused": WHY}. SCHEMA-FILE may be empty for a decision. */
#include "base/caps.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/cedar/entities.h"
#include "engine/cedar/validate.h"

typedef struct question {
    dv_slice verb;
    dv_slice policies;
    dv_slice schema;
    dv_slice entities;
    dv_slice check;
    dv_slice request;
} question;

/* A file that was read, kept for the next question: one case asks several times. */
typedef struct loaded {
    char name[4096];
    dv_result result;
    dv_error error;
} loaded;

typedef struct state {
    dv_arena *arena; /* the entities */
    loaded policies_file;
    loaded schema_file;
    loaded entities_file;
    dv_cedar_policy_set *set;
    dv_cedar_schema *schema;
    const dv_cedar_entities *entities;
} state;

static dv_result read_file(dv_slice path, dv_buf *text, dv_error *error)
{
    char name[4096];

    dv_slice_copy(path, name, sizeof(name));
    return dv_file_read(name, text, error);
}

/* True when the file is another than the one that is loaded. */
static bool is_new(loaded *file, dv_slice path)
{
    if (dv_slice_eq_str(path, file->name)) {
        return false;
    }
    *file = (loaded){0};
    dv_slice_copy(path, file->name, sizeof(file->name));
    return true;
}

static dv_result load_policies(state *s, dv_slice path)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CEDAR_TEXT);

    dv_cedar_policy_set_free(s->set);
    s->set = NULL;
    DV_TRY(read_file(path, &text, &s->policies_file.error));
    return dv_cedar_parse(dv_buf_slice(&text), &s->set, &s->policies_file.error);
}

static dv_result load_schema(state *s, dv_slice path)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CEDAR_SCHEMA);

    s->entities_file = (loaded){0}; /* read with the other schema */
    dv_cedar_schema_free(s->schema);
    s->schema = NULL;
    if (path.len == 0) {
        return DV_OK;
    }
    DV_TRY(read_file(path, &text, &s->schema_file.error));
    return dv_cedar_schema_parse(dv_buf_slice(&text), &s->schema, &s->schema_file.error);
}

static dv_result load_entities(state *s, dv_slice path)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CEDAR_ENTITIES);

    dv_arena_reset(s->arena);
    DV_TRY(read_file(path, &text, &s->entities_file.error));
    return dv_cedar_entities_parse(dv_buf_slice(&text), s->schema, s->arena, &s->entities,
                                   &s->entities_file.error);
}

/* Everything that a question names; NULL, or what was not read. */
static const loaded *load(state *s, const question *q)
{
    if (is_new(&s->policies_file, q->policies)) {
        s->policies_file.result = load_policies(s, q->policies);
    }
    if (is_new(&s->schema_file, q->schema)) {
        s->schema_file.result = load_schema(s, q->schema);
    }
    if (s->policies_file.result != DV_OK || s->schema_file.result != DV_OK) {
        return s->schema_file.result != DV_OK ? &s->schema_file : &s->policies_file;
    }
    if (q->entities.len > 0 && is_new(&s->entities_file, q->entities)) {
        s->entities_file.result = load_entities(s, q->entities);
    }
    return s->entities_file.result != DV_OK ? &s->entities_file : NULL;
}

static dv_result read_uid(const dv_json *json, const char *name, dv_arena *arena, dv_slice *ret_uid)
{
    dv_slice type = {0}, id = {0};
    uint32_t token = dv_json_member(json, 0, name);

    DV_TRY(dv_json_string(json, dv_json_member(json, token, "type"), arena, &type));
    DV_TRY(dv_json_string(json, dv_json_member(json, token, "id"), arena, &id));
    return dv_cedar_uid(arena, type, id, ret_uid);
}

/* A context that need not keep to the schema is read by it all the same where that works, so that
 * its values may do without escapes. */
static dv_result read_context(const state *s, dv_slice text, bool check, dv_slice action,
                              dv_arena *arena, dv_cedar_value *ret_context, dv_error *error)
{
    if (s->schema != NULL) {
        dv_result result =
            dv_cedar_context_parse(text, s->schema, action, arena, ret_context, error);
        if (result == DV_OK || check) {
            return result;
        }
    }
    return dv_cedar_record_parse(text, arena, ret_context, error);
}

static dv_result decide(const state *s, const question *q, dv_arena *arena,
                        dv_cedar_answer *ret_answer, dv_error *error)
{
    const dv_json_limits limits = {.depth = DV_LIMIT_CEDAR_DEPTH, .tokens = DV_LIMIT_JSON_TOKENS};
    bool check = dv_slice_eq_str(q->check, "check");
    dv_cedar_request request = {0};
    dv_cedar_value context;
    dv_json json;

    DV_TRY(dv_json_scan(q->request, &limits, arena, &json, error));
    DV_TRY(read_uid(&json, "principal", arena, &request.principal));
    DV_TRY(read_uid(&json, "action", arena, &request.action));
    DV_TRY(read_uid(&json, "resource", arena, &request.resource));
    dv_slice text = dv_json_raw(&json, dv_json_member(&json, 0, "context"));
    DV_TRY(read_context(s, text, check, request.action, arena, &context, error));
    request.context = &context;
    if (check && s->schema != NULL) {
        DV_TRY(dv_cedar_schema_check_request(s->schema, &request, error));
    }
    return dv_cedar_decide(s->set, &request, dv_cedar_entities_lookup, (void *)s->entities, arena,
                           ret_answer);
}

static void print_text(dv_slice text)
{
    dv_auto(buf) dv_buf quoted = dv_buf_init(1 << 20);

    if (dv_buf_append_json_string(&quoted, text) == DV_OK) {
        printf("%.*s", DV_SLICE_ARGS(dv_buf_slice(&quoted)));
    } else {
        printf("\"\"");
    }
}

static void print_ids(const char *name, const dv_slice *ids, size_t count)
{
    printf(", \"%s\": [", name);
    for (size_t i = 0; i < count; i++) {
        printf("%s", i == 0 ? "" : ", ");
        print_text(ids[i]);
    }
    printf("]");
}

static void print_refusal(dv_result result, const dv_error *error)
{
    char why[DV_ERROR_MESSAGE_MAX + 64];

    snprintf(why, sizeof(why), "%s at %d:%d: %s", dv_result_name(result), error->line,
             error->column, error->message);
    printf("{\"refused\": ");
    print_text(dv_slice_str(why));
    printf("}\n");
}

static void answer_validate(const state *s, dv_arena *arena)
{
    dv_cedar_report report = {0};
    dv_result result = dv_cedar_validate(s->set, s->schema, arena, &report);

    if (result != DV_OK) {
        print_refusal(result, &(dv_error){0});
        return;
    }
    printf("{\"valid\": %s, \"problems\": [", report.error_count == 0 ? "true" : "false");
    for (size_t i = 0; i < report.count; i++) {
        const dv_cedar_problem *p = &report.problems[i];
        char place[256];
        snprintf(place, sizeof(place),
                 "%.*s %d:%d%s: ", DV_SLICE_ARGS(dv_slice_sub(p->policy, 0, 128)), p->line,
                 p->column, p->warning ? " warning" : "");
        const dv_slice parts[] = {dv_slice_str(place), p->message};
        dv_slice text = {0};
        if (dv_arena_concat(arena, parts, DV_ARRAY_LEN(parts), &text) == DV_OK) {
            printf("%s", i == 0 ? "" : ", ");
            print_text(text);
        }
    }
    printf("]}\n");
}

static void answer_decide(const state *s, const question *q, dv_arena *arena)
{
    dv_cedar_answer told = {0};
    dv_error error = {0};
    dv_result result = decide(s, q, arena, &told, &error);

    if (result != DV_OK) {
        print_refusal(result, &error);
        return;
    }
    printf("{\"decision\": \"%s\"", told.decision == DV_ALLOW ? "allow" : "deny");
    print_ids("reason", told.reasons, told.reason_count);
    print_ids("errors", told.errors, told.error_count);
    printf("}\n");
}

static void answer(state *s, const question *q)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    const loaded *failed = load(s, q);

    if (arena == NULL || failed != NULL) {
        print_refusal(failed == NULL ? DV_ERR_NO_MEMORY : failed->result,
                      failed == NULL ? &(dv_error){0} : &failed->error);
    } else if (dv_slice_eq_str(q->verb, "validate")) {
        answer_validate(s, arena);
    } else {
        answer_decide(s, q, arena);
    }
}

static bool split_question(dv_slice line, question *q)
{
    if (!dv_slice_split(&line, '\t', &q->verb) || !dv_slice_split(&line, '\t', &q->policies) ||
        !dv_slice_split(&line, '\t', &q->schema)) {
        return false;
    }
    if (dv_slice_eq_str(q->verb, "validate")) {
        return q->schema.len > 0;
    }
    if (!dv_slice_split(&line, '\t', &q->entities) || !dv_slice_split(&line, '\t', &q->check)) {
        return false;
    }
    q->request = line;
    return dv_slice_eq_str(q->verb, "decide");
}

int main(void)
{
    dv_auto(free) char *line = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new((size_t)1 << 30);
    state s = {.arena = arena};
    size_t capacity = 0;
    ssize_t len;

    while (arena != NULL && (len = getline(&line, &capacity, stdin)) > 0) {
        question q = {0};
        if (!split_question(dv_slice_of(line, (size_t)len - (line[len - 1] == '\n')), &q)) {
            return 1;
        }
        answer(&s, &q);
    }
    dv_cedar_policy_set_free(s.set);
    dv_cedar_schema_free(s.schema);
    return arena == NULL || ferror(stdin) ? 1 : 0;
}
