/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one case a line, a JSON object with text (policies and templates), links, entities,
 * principal, action, resource and context. Answers each with a line of JSON: {"decision",
 * "reasons", "errors", "json", "formatted"}, or {"refused": WHY}. Before it answers, it decides
 * again with the set written as JSON, as text and formatted, and each read anew. */
#include "base/caps.h"
#include "base/json.h"
#include "engine/cedar/entities.h"
#include "engine/cedar/formats.h"

enum { ANSWER_MAX = 16 << 20 };

typedef struct question {
    dv_arena *arena;
    dv_json json;
    const dv_cedar_entities *entities;
    dv_cedar_request request;
    dv_cedar_value context;
    dv_slice text;
    dv_cedar_link *links;
    size_t link_count;
} question;

static uint32_t member(const question *q, uint32_t object, const char *name)
{
    return dv_json_member(&q->json, object, name);
}

static dv_result read_uid(const question *q, uint32_t token, dv_slice *ret_uid)
{
    dv_slice type = {0}, id = {0};

    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(dv_json_string(&q->json, member(q, token, "type"), q->arena, &type));
    DV_TRY(dv_json_string(&q->json, member(q, token, "id"), q->arena, &id));
    return dv_cedar_uid(q->arena, type, id, ret_uid);
}

static dv_result read_link(const question *q, uint32_t token, dv_cedar_link *link)
{
    uint32_t values = member(q, token, "values");

    DV_TRY(dv_json_string(&q->json, member(q, token, "templateId"), q->arena, &link->template_id));
    DV_TRY(dv_json_string(&q->json, member(q, token, "newId"), q->arena, &link->id));
    DV_TRY(read_uid(q, member(q, values, "?principal"), &link->principal));
    return read_uid(q, member(q, values, "?resource"), &link->resource);
}

static dv_result read_links(question *q)
{
    uint32_t list = member(q, 0, "links"), end = q->json.tokens[list].next;

    q->links = dv_arena_alloc(q->arena, (end - list + 1) * sizeof(*q->links));
    if (q->links == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = list + 1; list != 0 && i < end; i = q->json.tokens[i].next) {
        DV_TRY(read_link(q, i, &q->links[q->link_count++]));
    }
    return DV_OK;
}

static dv_result read_question(question *q, dv_slice line, dv_error *error)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_CEDAR_DEPTH, .tokens = 1 << 20};

    DV_TRY(dv_json_scan(line, &limits, q->arena, &q->json, error));
    DV_TRY(dv_json_string(&q->json, member(q, 0, "text"), q->arena, &q->text));
    DV_TRY(dv_cedar_entities_parse(dv_json_raw(&q->json, member(q, 0, "entities")), NULL, q->arena,
                                   &q->entities, error));
    DV_TRY(dv_cedar_record_parse(dv_json_raw(&q->json, member(q, 0, "context")), q->arena,
                                 &q->context, error));
    q->request.context = &q->context;
    DV_TRY(read_uid(q, member(q, 0, "principal"), &q->request.principal));
    DV_TRY(read_uid(q, member(q, 0, "action"), &q->request.action));
    DV_TRY(read_uid(q, member(q, 0, "resource"), &q->request.resource));
    return read_links(q);
}

static dv_result put_ids(dv_buf *out, const char *name, const dv_slice *ids, size_t count)
{
    DV_TRY(dv_buf_append_printf(out, ",\"%s\":[", name));
    for (size_t i = 0; i < count; i++) {
        DV_TRY(dv_buf_append_str(out, i == 0 ? "" : ","));
        DV_TRY(dv_buf_append_json_string(out, ids[i]));
    }
    return dv_buf_append_str(out, "]");
}

static dv_result put_answer(const question *q, const dv_cedar_policy_set *set, dv_buf *out)
{
    dv_cedar_answer answer;

    DV_TRY(dv_cedar_decide(set, &q->request, dv_cedar_entities_lookup, (void *)q->entities,
                           q->arena, &answer));
    DV_TRY(dv_buf_append_printf(out, "\"decision\":\"%s\"",
                                answer.decision == DV_ALLOW ? "allow" : "deny"));
    DV_TRY(put_ids(out, "reasons", answer.reasons, answer.reason_count));
    return put_ids(out, "errors", answer.errors, answer.error_count);
}

static dv_result differs(dv_error *error, const char *what)
{
    return dv_error_set(error, DV_ERR_INTERNAL, "%s changed the policies", what);
}

/* What was read back is written as the same JSON. */
static dv_result check_same(const dv_cedar_policy_set *set, const dv_buf *json, const char *what,
                            dv_error *error)
{
    dv_auto(buf) dv_buf again = dv_buf_init(ANSWER_MAX);

    DV_TRY(dv_cedar_json_write(set, &again));
    return dv_slice_eq(dv_buf_slice(json), dv_buf_slice(&again)) ? DV_OK : differs(error, what);
}

/* The set from its JSON answers as the first did. */
static dv_result check_json(const question *q, const dv_buf *json, const dv_buf *answer,
                            dv_error *error)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auto(buf) dv_buf again = dv_buf_init(ANSWER_MAX);

    DV_TRY(dv_cedar_json_parse(dv_buf_slice(json), &set, error));
    DV_TRY(check_same(set, json, "JSON", error));
    DV_TRY(put_answer(q, set, &again));
    return dv_slice_eq(dv_buf_slice(answer), dv_buf_slice(&again)) ? DV_OK : differs(error, "JSON");
}

static dv_result check_text(const question *q, dv_slice text, const dv_buf *json, const char *what,
                            dv_error *error)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;

    DV_TRY(dv_cedar_parse_linked(text, q->links, q->link_count, &set, error));
    return check_same(set, json, what, error);
}

/* Written as text and formatted, read anew; formatting twice changes nothing. */
static dv_result check_texts(const question *q, const dv_cedar_policy_set *set, const dv_buf *json,
                             dv_buf *formatted, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(ANSWER_MAX);
    dv_auto(buf) dv_buf again = dv_buf_init(ANSWER_MAX);

    DV_TRY(dv_cedar_text_write(set, &text));
    DV_TRY(check_text(q, dv_buf_slice(&text), json, "text", error));
    DV_TRY(dv_cedar_format(q->text, formatted, error));
    DV_TRY(check_text(q, dv_buf_slice(formatted), json, "formatting", error));
    DV_TRY(dv_cedar_format(dv_buf_slice(formatted), &again, error));
    return dv_slice_eq(dv_buf_slice(formatted), dv_buf_slice(&again))
               ? DV_OK
               : differs(error, "formatting again");
}

static dv_result work(question *q, dv_slice line, dv_buf *out, dv_error *error)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auto(buf) dv_buf json = dv_buf_init(ANSWER_MAX);
    dv_auto(buf) dv_buf answer = dv_buf_init(ANSWER_MAX);
    dv_auto(buf) dv_buf formatted = dv_buf_init(ANSWER_MAX);

    DV_TRY(read_question(q, line, error));
    DV_TRY(dv_cedar_parse_linked(q->text, q->links, q->link_count, &set, error));
    DV_TRY(put_answer(q, set, &answer));
    DV_TRY(dv_cedar_json_write(set, &json));
    DV_TRY(check_json(q, &json, &answer, error));
    DV_TRY(check_texts(q, set, &json, &formatted, error));
    DV_TRY(dv_buf_append_str(out, "{"));
    DV_TRY(dv_buf_append(out, dv_buf_slice(&answer)));
    DV_TRY(dv_buf_append_str(out, ",\"json\":"));
    DV_TRY(dv_buf_append(out, dv_buf_slice(&json)));
    DV_TRY(dv_buf_append_str(out, ",\"formatted\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_buf_slice(&formatted)));
    return dv_buf_append_str(out, "}");
}

static dv_result refusal(dv_result result, const dv_error *error, dv_buf *out)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_ERROR_MESSAGE_MAX + 100);

    DV_TRY(dv_buf_append_printf(&text, "%s at %d:%d: %s", dv_result_name(result), error->line,
                                error->column, error->message));
    DV_TRY(dv_buf_append_str(out, "{\"refused\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_buf_slice(&text)));
    return dv_buf_append_str(out, "}");
}

static dv_result answer_line(dv_slice line)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new((size_t)1 << 28);
    dv_auto(buf) dv_buf out = dv_buf_init(4 * ANSWER_MAX);
    question q = {.arena = arena};
    dv_error error = {0};

    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = work(&q, line, &out, &error);
    if (result != DV_OK) {
        dv_buf_clear(&out);
        DV_TRY(refusal(result, &error, &out));
    }
    DV_TRY(dv_buf_append_byte(&out, '\n'));
    bool written = fwrite(out.ptr, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    return written ? DV_OK : DV_ERR_IO;
}

int main(void)
{
    dv_auto(free) char *line = NULL;
    size_t capacity = 0;
    ssize_t len;

    while ((len = getline(&line, &capacity, stdin)) > 0) {
        if (answer_line(dv_slice_of(line, (size_t)len - (line[len - 1] == '\n'))) != DV_OK) {
            return 1;
        }
    }
    return ferror(stdin) ? 1 : 0;
}
