/* SPDX-License-Identifier: Apache-2.0 */
/* Forms with files. */
#include "room/data/gate/file.h"

#include "base/caps.h"
#include "base/multipart.h"

/* "/file", as places name the part (RFC 6901). Its name is clean, or nothing of it is told. */
static const char *place_of(dv_data_pass *pass, const dv_multipart_part *part)
{
    dv_auto(buf) dv_buf place = dv_buf_init(DV_MULTIPART_NAME_MAX * 2 + 8);
    return dv_json_append_step(&place, part->name) == DV_OK
               ? dv_arena_printf(pass->arena, "%s", dv_buf_cstr(&place))
               : NULL;
}

/* Names and types can't be rewritten without the server taking them for others. */
static dv_result inspect_head(dv_data_pass *pass, const dv_multipart_part *part)
{
    bool clean = !pass->policy->rewrites || (dv_data_pass_is_clean(pass, part->name) &&
                                             dv_data_pass_is_clean(pass, part->type));
    dv_arena_recycle(pass->temp);
    if (!clean) {
        dv_data_pass_deny(pass, "a value stands in the name or the type of a part of the form");
    }
    return DV_OK;
}

/* What stands in the name instead must leave it the name, to every reader. */
static bool may_stand_in_name(const dv_multipart_part *part, dv_slice text)
{
    if (part->filename.ptr[-1] != '"') {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] == '"' || text.ptr[i] == '\\' || text.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static dv_result inspect_filename(dv_data_files *files, const dv_multipart_part *part,
                                  const char *root)
{
    size_t first = files->edits.count;
    if (part->filename.len == 0) {
        return DV_OK;
    }
    const char *place = dv_arena_printf(files->pass.arena, "%s/filename", root);
    if (place == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_data_file_text(files, place, part->filename));
    for (size_t i = first; i < files->edits.count; i++) {
        if (!may_stand_in_name(part, files->edits.list[i].text)) {
            dv_data_pass_deny(&files->pass, "a value stands in a file's name");
        }
    }
    return DV_OK;
}

static dv_result inspect_part(dv_data_files *files, const dv_multipart_part *part)
{
    dv_data_pass *pass = &files->pass;
    bool edited = false;
    DV_TRY(inspect_head(pass, part));
    const char *root = place_of(pass, part);
    if (root == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(inspect_filename(files, part, root));
    DV_TRY(dv_data_file_inspect(files, root, part->data, &edited));
    if (edited && part->length.len > 0) {
        size_t at = (size_t)(part->length.ptr - files->body.ptr);
        return dv_data_edits_add(&files->edits, pass->arena, at, at + part->length.len,
                                 (dv_slice){NULL, 0});
    }
    return DV_OK;
}

static dv_result inspect_parts(dv_data_files *files, const dv_multipart_part *parts, size_t count)
{
    for (size_t i = 0; i < count && files->pass.verdict->decision == DV_ALLOW; i++) {
        DV_TRY(inspect_part(files, &parts[i]));
    }
    return DV_OK;
}

/* What a caller knows of an action's results he could have his boundary be: the parts stay those
 * that were inspected. */
static void check_parts(dv_verdict *verdict, const dv_data_outcome *outcome, dv_slice boundary,
                        size_t count)
{
    dv_multipart_part parts[DV_MULTIPART_PARTS_MAX];
    size_t left = 0;
    if (outcome->changed &&
        (dv_multipart_parse(outcome->body, boundary, parts, &left, NULL) != DV_OK ||
         left != count)) {
        dv_verdict_deny(verdict, DV_REASON_SENSITIVE_DATA,
                        "its boundary can not be told from what stands in its parts");
    }
}

dv_result dv_data_gate_form(dv_data_gate *gate, const dv_data_policy *policy,
                            dv_data_context *context, dv_slice form, dv_slice boundary,
                            dv_arena *arena, dv_data_outcome *ret_outcome, dv_verdict *verdict)
{
    dv_multipart_part parts[DV_MULTIPART_PARTS_MAX];
    size_t count = 0;
    const dv_data_pass pass = {
        .gate = gate, .policy = policy, .context = context, .verdict = verdict, .arena = arena};
    dv_data_files files;
    dv_result result = dv_data_files_begin(&files, &pass, form);
    if (result == DV_OK) {
        result = dv_multipart_parse(form, boundary, parts, &count, NULL);
    }
    if (result == DV_OK) {
        result = inspect_parts(&files, parts, count);
    }
    DV_TRY(dv_data_files_end(&files, result, ret_outcome));
    check_parts(verdict, ret_outcome, boundary, count);
    return DV_OK;
}
