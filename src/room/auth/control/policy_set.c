/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/policies.h"

#include "base/codec.h"
#include "core/data_access.h"
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

/* Where an id stands, for telling who has it already. Lines are counted when one is told. */
typedef struct used_id {
    dv_slice id;
    const dv_auth_document *document;
    size_t offset;
} used_id;

/* A link, or a template that may have none. */
typedef struct placed {
    dv_cedar_link link; /* of a template its template_id and offset alone */
    const dv_auth_document *document;
    bool kept; /* its text is in force already */
} placed;

typedef struct placed_list {
    placed *items;
    size_t count;
    size_t cap;
} placed_list;

typedef struct compiler {
    dv_arena *arena;
    placed_list links;
    placed_list templates; /* of texts that are not kept */
    size_t begin;          /* of the texts in `out` */
    used_id *ids;
    size_t id_count;
    size_t id_cap;
    dv_buf *out;
    const dv_auth_held *held; /* or NULL */
    uint64_t steps;           /* left for what changes, and for what was in force before */
    uint64_t steps_kept;
    dv_error *error;
} compiler;

typedef struct text_place {
    int line;
    int column;
} text_place;

static text_place place_of(const dv_auth_document *document, size_t offset)
{
    text_place place;
    dv_cedar_text_place(document->text, offset, &place.line, &place.column);
    return place;
}

/* info: whatever has an offset into the text. */
#define refuse(c, document, info, ...)                                                             \
    refuse_at(c, (document)->name, place_of(document, (info)->offset).line,                        \
              place_of(document, (info)->offset).column, __VA_ARGS__)

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
    if (dv_slice_starts_with(id, DV_LIT(DV_DATA_GRANT_POLICY))) {
        return refuse(c, document, info,
                      "ids that begin with \"" DV_DATA_GRANT_POLICY "\" are those of grants for "
                      "data, which are asked for with `dvara data access request`");
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
    used_id *ids = dv_arena_grow(c->arena, c->ids, c->id_count, &c->id_cap, sizeof(*ids), 64);
    if (ids == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    c->ids = ids;
    used_id used = {.document = document, .offset = info->offset};
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

static dv_result placed_add(compiler *c, placed_list *list, const placed *one)
{
    placed *items =
        dv_arena_grow(c->arena, list->items, list->count, &list->cap, sizeof(*items), 64);
    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    list->items = items;
    placed *added = &list->items[list->count++];
    *added = *one;
    DV_TRY(dv_arena_copy(c->arena, one->link.template_id, &added->link.template_id));
    DV_TRY(dv_arena_copy(c->arena, one->link.id, &added->link.id));
    DV_TRY(dv_arena_copy(c->arena, one->link.principal, &added->link.principal));
    return dv_arena_copy(c->arena, one->link.resource, &added->link.resource);
}

static bool is_kept(const dv_auth_held *held, const dv_auth_document *document)
{
    const dv_auth_document *kept =
        held->kept == NULL ? NULL : dv_auth_documents_find(held->kept, document->name);
    return kept != NULL && strcmp(kept->digest, document->digest) == 0;
}

/* One that is new and has no link is told of. */
static dv_result template_keep(compiler *c, const dv_auth_document *document,
                               const dv_cedar_policy_info *info, dv_slice id)
{
    const placed one = {.link = {.template_id = id, .offset = info->offset}, .document = document};
    return !info->template || c->held == NULL || is_kept(c->held, document)
               ? DV_OK
               : placed_add(c, &c->templates, &one);
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
        DV_TRY(template_keep(c, document, &info, id));
        if (!info.named) {
            DV_TRY(dv_buf_append(c->out,
                                 dv_slice_sub(document->text, written, info.offset - written)));
            DV_TRY(dv_buf_append_printf(c->out, "@id(\"%.*s\")\n", DV_SLICE_ARGS(id)));
            written = info.offset;
        }
    }
    return dv_buf_append(c->out, dv_slice_sub(document->text, written, document->text.len));
}

/* Of JSON, what Cedar's text says; ids are the keys. */
static dv_result json_append(compiler *c, const dv_auth_document *document,
                             const dv_cedar_policy_set *set)
{
    size_t count = dv_cedar_policy_count(set) + dv_cedar_template_count(set);
    for (size_t i = 0; i < count; i++) {
        dv_cedar_policy_info info;
        dv_cedar_policy_describe(set, i, &info);
        DV_TRY(id_check(c, document, &info, info.id));
        DV_TRY(id_keep(c, document, &info, info.id));
        DV_TRY(template_keep(c, document, &info, info.id));
    }
    return dv_cedar_text_write_named(set, false, c->out);
}

static dv_result links_keep(compiler *c, const dv_auth_document *document,
                            const dv_cedar_json_part *part)
{
    bool kept = c->held != NULL && is_kept(c->held, document);
    for (size_t i = 0; i < part->link_count; i++) {
        const placed one = {.link = part->links[i], .document = document, .kept = kept};
        const dv_cedar_policy_info info = {.offset = one.link.offset};
        DV_TRY(id_check(c, document, &info, one.link.id));
        DV_TRY(id_keep(c, document, &info, one.link.id));
        DV_TRY(placed_add(c, &c->links, &one));
    }
    return DV_OK;
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
static bool is_of_another(dv_slice principal_type, dv_slice resource_type)
{
    return is_foreign(principal_type) || is_foreign(resource_type);
}

static dv_result hold_part(compiler *c, const dv_cedar_policy_set *set, dv_arena *arena,
                           dv_cedar_report *ret_report)
{
    dv_cedar_validation part = {
        .schema = c->held->schema, .steps = c->steps, .leaves_out = is_of_another};
    dv_result result = dv_cedar_validate_part(set, &part, arena, ret_report);
    c->steps = part.steps;
    return result;
}

static dv_result warning_add(compiler *c, const char *document, int line, int column,
                             dv_slice message)
{
    json_t *warnings = c->held->warnings;
    if (warnings == NULL || json_array_size(warnings) >= WARNINGS_MAX) {
        return DV_OK;
    }
    json_t *text = json_sprintf("%s:%d:%d: %.*s", document, line, column, DV_SLICE_ARGS(message));
    return json_array_append_new(warnings, text) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* The first thing that is no good by the schema. What can never apply is told, and no error. */
static dv_result schema_check(compiler *c, const dv_auth_document *document,
                              const dv_cedar_policy_set *set)
{
    dv_cedar_report report;
    dv_auto(arena) dv_arena *arena = dv_arena_new(COMPILE_ARENA);
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : hold_part(c, set, arena, &report);
    if (result == DV_ERR_TOO_LARGE) {
        return dv_error_set(c->error, DV_ERR_INVALID,
                            "%s:1:1: too complex to be checked against the schema, with the texts "
                            "before it: apply fewer at a time, or make it simpler",
                            document->name);
    }
    DV_TRY(result);
    for (size_t i = 0; i < report.count; i++) {
        const dv_cedar_problem *problem = &report.problems[i];
        if (!problem->warning) {
            return refuse_at(c, document->name, problem->line, problem->column, "%.*s",
                             DV_SLICE_ARGS(problem->message));
        }
        DV_TRY(is_kept(c->held, document) ? DV_OK
                                          : warning_add(c, document->name, problem->line,
                                                        problem->column, problem->message));
    }
    return report.cut ? dv_error_set(c->error, DV_ERR_INVALID,
                                     "%s:1:1: more than %d policies can never apply",
                                     document->name, DV_LIMIT_CEDAR_PROBLEMS)
                      : DV_OK;
}

static dv_result schema_hold(compiler *c, const dv_auth_document *document,
                             const dv_cedar_policy_set *set)
{
    dv_error detail = {0};
    if (c->held == NULL || c->held->what == DV_AUTH_HOLD_LINKS) {
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
    dv_cedar_json_part part = {0};
    dv_result result = dv_auth_document_parse(document, &set, &part, &detail);
    if (result == DV_ERR_INVALID) {
        return refuse_at(c, document->name, DV_MAX(detail.line, 1), DV_MAX(detail.column, 1), "%s",
                         detail.message);
    }
    if (result != DV_OK) {
        return dv_error_set(c->error, result, "%s: %s", document->name, detail.message);
    }
    DV_TRY(dv_buf_append_printf(c->out, "// %s\n", document->name));
    DV_TRY(dv_auth_document_is_json(document) ? json_append(c, document, set)
                                              : policies_append(c, document, set));
    DV_TRY(links_keep(c, document, &part));
    DV_TRY(schema_hold(c, document, set));
    return dv_buf_append_str(c->out, "\n");
}

static int order_ids(const void *a, const void *b)
{
    const used_id *x = a, *y = b;
    int difference = dv_slice_cmp(x->id, y->id);
    return difference != 0 ? difference : strcmp(x->document->name, y->document->name);
}

static dv_result doubles_check(compiler *c)
{
    if (c->id_count > 1) {
        qsort(c->ids, c->id_count, sizeof(*c->ids), order_ids);
    }
    for (size_t i = 1; i < c->id_count; i++) {
        const used_id *one = &c->ids[i - 1], *other = &c->ids[i];
        if (dv_slice_eq(one->id, other->id)) {
            return refuse(c, other->document, other, "the id \"%.*s\" stands in %s at line %d, too",
                          DV_SLICE_ARGS(other->id), one->document->name,
                          place_of(one->document, one->offset).line);
        }
    }
    return DV_OK;
}

/* --- links ----------------------------------------------------------------------------------- */

/* All texts with the first `count` links. */
static dv_result links_make(compiler *c, dv_slice text, size_t count, dv_cedar_policy_set **ret_set,
                            dv_error *error)
{
    dv_cedar_link *links = dv_arena_alloc(c->arena, (count + 1) * sizeof(*links));
    if (links == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        links[i] = c->links.items[i].link;
    }
    return dv_cedar_parse_linked(text, links, count, ret_set, error);
}

/* The first link that can't be made: so many are good, so many are not. */
static dv_result link_blame(compiler *c, dv_slice text)
{
    size_t good = 0, bad = c->links.count;
    dv_error detail = {0}, last = {0};
    while (bad - good > 1) {
        dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
        size_t middle = good + (bad - good) / 2;
        dv_result result = links_make(c, text, middle, &set, &detail);
        if (result != DV_OK && result != DV_ERR_INVALID) {
            return result;
        }
        *(result == DV_OK ? &good : &bad) = middle;
    }
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    (void)links_make(c, text, bad, &set, &last);
    const placed *wrong = &c->links.items[bad - 1];
    return refuse(c, wrong->document, &wrong->link, "%s", last.message);
}

static dv_result warning_place(compiler *c, const placed *where, dv_slice message)
{
    const text_place place = place_of(where->document, where->link.offset);
    return warning_add(c, where->document->name, place.line, place.column, message);
}

static const placed *link_find(const compiler *c, dv_slice id)
{
    const placed *found = NULL;
    for (size_t i = 0; i < c->links.count && found == NULL; i++) {
        found = dv_slice_eq(c->links.items[i].link.id, id) ? &c->links.items[i] : NULL;
    }
    return found;
}

/* A template may fit the schema where what its slots stand for does not. */
static dv_result links_hold(compiler *c, dv_slice text)
{
    dv_cedar_report report = {0};
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(COMPILE_ARENA);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_cedar_parse(text, &set, c->error));
    dv_result result = hold_part(c, set, arena, &report);
    if (result == DV_ERR_TOO_LARGE || report.cut) {
        return refuse_at(c, c->links.items[0].document->name, 1, 1,
                         "too many links to be checked against the schema");
    }
    DV_TRY(result);
    for (size_t i = 0; i < report.count; i++) {
        const dv_cedar_problem *problem = &report.problems[i];
        const placed *link = link_find(c, problem->policy);
        if (link == NULL) {
            continue;
        }
        if (!problem->warning && !link->kept) {
            return refuse(c, link->document, &link->link, "link '%.*s': %.*s",
                          DV_SLICE_ARGS(problem->policy), DV_SLICE_ARGS(problem->message));
        }
        DV_TRY(problem->warning && link->kept ? DV_OK : warning_place(c, link, problem->message));
    }
    return DV_OK;
}

static bool is_linked(const compiler *c, dv_slice template_id)
{
    bool found = false;
    for (size_t i = 0; i < c->links.count && !found; i++) {
        found = dv_slice_eq(c->links.items[i].link.template_id, template_id);
    }
    return found;
}

static dv_result templates_tell(compiler *c)
{
    for (size_t i = 0; i < c->templates.count && i < WARNINGS_MAX; i++) {
        const placed *one = &c->templates.items[i];
        if (!is_linked(c, one->link.template_id)) {
            DV_TRY(warning_place(c, one,
                                 DV_LIT("nothing is linked to this template, so that it decides "
                                        "nothing")));
        }
    }
    return DV_OK;
}

/* Links become policies behind the texts, so that whoever reads the set needs no others. */
static dv_result links_append(compiler *c)
{
    dv_error detail = {0};
    dv_auto(buf) dv_buf linked = dv_buf_init(SET_MAX);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_slice text = dv_slice_sub(dv_buf_slice(c->out), c->begin, c->out->len);
    if (c->held != NULL && c->held->what == DV_AUTH_HOLD_TEXTS) {
        return DV_OK;
    }
    DV_TRY(c->held == NULL ? DV_OK : templates_tell(c));
    if (c->links.count == 0) {
        return DV_OK;
    }
    dv_result result = links_make(c, text, c->links.count, &set, &detail);
    if (result == DV_ERR_INVALID) {
        return link_blame(c, text);
    }
    DV_TRY(result);
    DV_TRY(dv_cedar_text_write_named(set, true, &linked));
    DV_TRY(c->held == NULL ? DV_OK : links_hold(c, dv_buf_slice(&linked)));
    DV_TRY(dv_buf_append_str(c->out, "// links\n"));
    return dv_buf_append(c->out, dv_buf_slice(&linked));
}

dv_result dv_auth_documents_compile(const dv_auth_documents *documents, const dv_auth_held *held,
                                    dv_buf *out, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(COMPILE_ARENA);
    compiler c = {.arena = arena,
                  .out = out,
                  .begin = out->len,
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
    if (result == DV_OK) {
        result = links_append(&c);
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
