/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/policies.h"

#include "base/codec.h"
#include "core/verdict.h"
#include "crypto/hash.h"
#include "engine/cedar/describe.h"
#include "engine/cedar/validate.h"

/* From named texts to one set. Every text is read by itself first, so that an error has the place
 * in the text that its author knows. */

enum { SET_MAX = 8 << 20, COMPILE_ARENA = 256 << 20, WARNINGS_MAX = 100 };

/* --- lists of texts -------------------------------------------------------------------------- */

static int order(const void *a, const void *b)
{
    return strcmp(((const dv_auth_document *)a)->name, ((const dv_auth_document *)b)->name);
}

void dv_auth_documents_sort(dv_auth_documents *documents)
{
    if (documents->count > 1) {
        qsort(documents->items, documents->count, sizeof(*documents->items), order);
    }
}

dv_auth_document *dv_auth_documents_find(const dv_auth_documents *documents, const char *name)
{
    const dv_auth_document wanted = {.name = name};
    return documents->count == 0
               ? NULL
               : bsearch(&wanted, documents->items, documents->count, sizeof(wanted), order);
}

dv_result dv_auth_document_digest(dv_auth_document *document, dv_arena *arena)
{
    uint8_t digest[DV_SHA256_LEN];
    dv_auto(buf) dv_buf hex = dv_buf_init(2 * DV_SHA256_LEN);
    dv_slice copy;
    dv_sha256(document->text, (dv_slice){0}, (dv_slice){0}, digest);
    DV_TRY(dv_hex_encode(dv_slice_of(digest, sizeof(digest)), &hex));
    DV_TRY(dv_arena_copy(arena, dv_buf_slice(&hex), &copy));
    document->digest = (const char *)copy.ptr;
    return DV_OK;
}

/* --- compiling ------------------------------------------------------------------------------- */

/* Where an id stands, for telling who has it already. */
typedef struct used_id {
    dv_slice id;
    const char *document;
    int line;
    int column;
} used_id;

typedef struct compiler {
    dv_arena *arena;
    used_id *ids;
    size_t id_count;
    size_t id_cap;
    dv_buf *out;
    const dv_auth_held *held; /* or NULL */
    uint64_t steps;           /* left for what changes, and for what was in force before */
    uint64_t steps_kept;
    dv_error *error;
} compiler;

#define refuse(c, document, info, ...)                                                             \
    refuse_at(c, (document)->name, (info)->line, (info)->column, __VA_ARGS__)

static dv_result refuse_at(compiler *c, const char *document, int line, int column,
                           const char *format, ...) dv_printf(5, 6);

static dv_result refuse_at(compiler *c, const char *document, int line, int column,
                           const char *format, ...)
{
    char message[DV_ERROR_MESSAGE_MAX / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return dv_error_set(c->error, DV_ERR_INVALID, "%s:%d:%d: %s", document, line, column, message);
}

/* Ids stand in answers, events and on terminals. */
static bool is_visible(dv_slice id)
{
    uint32_t character = 0;
    bool visible = true;
    for (size_t len = 0; visible && id.len > 0; id = dv_slice_sub(id, len, id.len)) {
        len = dv_utf8_decode(id, &character);
        visible = len > 0 && !dv_code_point_is_hidden(character);
    }
    return visible;
}

static dv_result id_check(compiler *c, const dv_auth_document *document,
                          const dv_cedar_policy_info *info, dv_slice id)
{
    if (info->template) {
        return refuse(c, document, info, "a template decides nothing: write the policy itself");
    }
    if (info->nameless) {
        return refuse(c, document, info, "the @id is empty: write a name, or leave it out");
    }
    if (!is_visible(id)) {
        return refuse(c, document, info,
                      "the id has a character that is not seen (a control character, one without "
                      "width, or one that turns the direction of writing)");
    }
    if (dv_slice_starts_with(id, DV_LIT(DV_AUTH_ROLE_POLICY))) {
        return refuse(c, document, info,
                      "ids that begin with \"" DV_AUTH_ROLE_POLICY "\" are those of roles, which "
                      "are changed with `dvara role` or in rbac: of dvara.yaml");
    }
    if (id.len >= DV_VERDICT_POLICY_MAX) {
        return refuse(c, document, info,
                      "the id has more than %d bytes, so that events could not name it",
                      DV_VERDICT_POLICY_MAX - 1);
    }
    return DV_OK;
}

static dv_result id_keep(compiler *c, const dv_auth_document *document,
                         const dv_cedar_policy_info *info, dv_slice id)
{
    if (c->id_count == c->id_cap) {
        size_t cap = c->id_cap == 0 ? 64 : 2 * c->id_cap;
        used_id *larger = dv_arena_alloc_raw(c->arena, cap * sizeof(*larger));
        if (larger == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        if (c->id_count > 0) {
            memcpy(larger, c->ids, c->id_count * sizeof(*larger));
        }
        c->ids = larger;
        c->id_cap = cap;
    }
    used_id used = {.document = document->name, .line = info->line, .column = info->column};
    DV_TRY(dv_arena_copy(c->arena, id, &used.id));
    c->ids[c->id_count++] = used;
    return DV_OK;
}

/* The id that a policy without one gets. number: among all of its text. */
static dv_result id_make(compiler *c, const dv_auth_document *document, size_t number, size_t count,
                         dv_slice *ret_id)
{
    const char *id =
        count == 1 ? document->name : dv_arena_printf(c->arena, "%s.%zu", document->name, number);
    *ret_id = dv_slice_str(id);
    return id == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

/* The text as it is, with ids written in front of the policies that have none. */
static dv_result policies_append(compiler *c, const dv_auth_document *document,
                                 const dv_cedar_policy_set *set)
{
    size_t count = dv_cedar_policy_count(set) + dv_cedar_template_count(set);
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        dv_cedar_policy_info info;
        dv_cedar_policy_describe(set, i, &info);
        dv_slice id = info.id;
        if (!info.named) {
            DV_TRY(id_make(c, document, i, count, &id));
        }
        DV_TRY(id_check(c, document, &info, id));
        DV_TRY(id_keep(c, document, &info, id));
        if (!info.named) {
            DV_TRY(dv_buf_append(c->out,
                                 dv_slice_sub(document->text, written, info.offset - written)));
            DV_TRY(dv_buf_append_printf(c->out, "@id(\"%.*s\")\n", DV_SLICE_ARGS(id)));
            written = info.offset;
        }
    }
    return dv_buf_append(c->out, dv_slice_sub(document->text, written, document->text.len));
}

/* What would command the terminal of its reader, or show him another text than the one that
 * decides: control characters and Unicode's bidirectional ones (CVE-2021-42574). */
static bool misleads(dv_slice rest, size_t *ret_len)
{
    uint32_t character = 0;
    size_t len = dv_utf8_decode(rest, &character);
    *ret_len = DV_MAX(len, 1);
    bool returns = character == '\r' && rest.len > 1 && rest.ptr[1] == '\n';
    bool space = character == '\n' || character == '\t' || returns;
    return len > 0 && ((character < 0x20 && !space) || (character >= 0x7f && character < 0xa0) ||
                       (character >= 0x202a && character <= 0x202e) ||
                       (character >= 0x2066 && character <= 0x2069));
}

static dv_result characters_check(compiler *c, const dv_auth_document *document)
{
    int line = 1;
    size_t line_start = 0, len = 1;
    for (size_t i = 0; i < document->text.len; i += len) {
        dv_slice rest = dv_slice_sub(document->text, i, document->text.len);
        if (misleads(rest, &len)) {
            return refuse_at(c, document->name, line, (int)(i - line_start) + 1,
                             "a control character; write it as an escape");
        }
        if (rest.ptr[0] == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    return DV_OK;
}

static bool is_foreign(dv_slice type)
{
    return type.len > 0 && !dv_auth_schema_has_type(type);
}

/* Dvara decides for other programs, too: a policy whose scope names a type of theirs is not held
 * against Dvara's schema. */
static bool policy_is_foreign(const dv_cedar_policy_set *set, dv_slice id)
{
    size_t count = dv_cedar_policy_count(set) + dv_cedar_template_count(set);
    dv_cedar_policy_info info = {.id = {NULL, 0}};
    for (size_t i = 0; i < count && !dv_slice_eq(info.id, id); i++) {
        dv_cedar_policy_describe(set, i, &info);
    }
    return is_foreign(info.principal_type) || is_foreign(info.resource_type);
}

/* The first thing that is no good by the schema. What can never apply is no error. */
static dv_result schema_check(compiler *c, const dv_auth_document *document,
                              const dv_cedar_policy_set *set)
{
    dv_cedar_report report;
    dv_auto(arena) dv_arena *arena = dv_arena_new(COMPILE_ARENA);
    dv_result result =
        arena == NULL ? DV_ERR_NO_MEMORY
                      : dv_cedar_validate_within(set, c->held->schema, arena, &c->steps, &report);
    if (result == DV_ERR_TOO_LARGE) {
        return dv_error_set(c->error, DV_ERR_INVALID,
                            "%s:1:1: too complex to be checked against the schema, with the texts "
                            "before it: apply fewer at a time, or make it simpler",
                            document->name);
    }
    DV_TRY(result);
    if (report.cut) {
        return dv_error_set(c->error, DV_ERR_INVALID, "%s:1:1: too much does not fit the schema",
                            document->name);
    }
    for (size_t i = 0; i < report.count; i++) {
        const dv_cedar_problem *problem = &report.problems[i];
        if (!problem->warning && !policy_is_foreign(set, problem->policy)) {
            return refuse_at(c, document->name, problem->line, problem->column, "%.*s",
                             DV_SLICE_ARGS(problem->message));
        }
    }
    return DV_OK;
}

static bool is_kept(const dv_auth_held *held, const dv_auth_document *document)
{
    const dv_auth_document *kept =
        held->kept == NULL ? NULL : dv_auth_documents_find(held->kept, document->name);
    return kept != NULL && strcmp(kept->digest, document->digest) == 0;
}

static dv_result schema_hold(compiler *c, const dv_auth_document *document,
                             const dv_cedar_policy_set *set)
{
    dv_error detail = {0};
    if (c->held == NULL) {
        return DV_OK;
    }
    if (!is_kept(c->held, document)) {
        return schema_check(c, document, set);
    }
    compiler kept = *c;
    kept.error = &detail;
    kept.steps = c->steps_kept;
    dv_result result = schema_check(&kept, document, set);
    c->steps_kept = kept.steps;
    if (result != DV_ERR_INVALID || json_array_size(c->held->warnings) >= WARNINGS_MAX) {
        return result == DV_ERR_INVALID ? DV_OK : result;
    }
    return json_array_append_new(c->held->warnings, json_string(detail.message)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

static dv_result document_append(compiler *c, const dv_auth_document *document)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_error detail = {0};
    DV_TRY(characters_check(c, document));
    dv_result result = dv_cedar_parse(document->text, &set, &detail);
    if (result == DV_ERR_INVALID) {
        return refuse_at(c, document->name, DV_MAX(detail.line, 1), DV_MAX(detail.column, 1), "%s",
                         detail.message);
    }
    if (result != DV_OK) {
        return dv_error_set(c->error, result, "%s: %s", document->name, detail.message);
    }
    DV_TRY(dv_buf_append_printf(c->out, "// %s\n", document->name));
    DV_TRY(policies_append(c, document, set));
    DV_TRY(schema_hold(c, document, set));
    return dv_buf_append_str(c->out, "\n");
}

static int order_ids(const void *a, const void *b)
{
    const used_id *x = a, *y = b;
    int difference = dv_slice_cmp(x->id, y->id);
    return difference != 0 ? difference : strcmp(x->document, y->document);
}

static dv_result doubles_check(compiler *c)
{
    if (c->id_count > 1) {
        qsort(c->ids, c->id_count, sizeof(*c->ids), order_ids);
    }
    for (size_t i = 1; i < c->id_count; i++) {
        const used_id *one = &c->ids[i - 1], *other = &c->ids[i];
        if (dv_slice_eq(one->id, other->id)) {
            return refuse_at(c, other->document, other->line, other->column,
                             "the id \"%.*s\" stands in %s at line %d, too",
                             DV_SLICE_ARGS(other->id), one->document, one->line);
        }
    }
    return DV_OK;
}

dv_result dv_auth_documents_compile(const dv_auth_documents *documents, const dv_auth_held *held,
                                    dv_buf *out, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(COMPILE_ARENA);
    compiler c = {.arena = arena,
                  .out = out,
                  .held = held,
                  .steps = DV_LIMIT_POLICY_CHECKS,
                  .steps_kept = DV_LIMIT_POLICY_KEPT,
                  .error = error};
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    for (size_t i = 0; i < documents->count && result == DV_OK; i++) {
        result = document_append(&c, &documents->items[i]);
    }
    if (result == DV_OK) {
        result = doubles_check(&c);
    }
    return result == DV_ERR_TOO_LARGE
               ? dv_error_set(error, result, "all policies together have more than %d bytes",
                              SET_MAX)
               : result;
}

dv_result dv_auth_set_write(dv_store *store, const dv_auth_documents *documents, dv_buf *out,
                            dv_error *error)
{
    DV_TRY(dv_auth_policies_write(store, out, error));
    return dv_auth_documents_compile(documents, NULL, out, error);
}

dv_result dv_auth_set_parse(dv_store *store, const dv_auth_documents *documents,
                            dv_cedar_policy_set **ret_set, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(SET_MAX);
    DV_TRY(dv_auth_set_write(store, documents, &text, error));
    return dv_cedar_parse(dv_buf_slice(&text), ret_set, error);
}
