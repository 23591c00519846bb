/* SPDX-License-Identifier: Apache-2.0 */
/* Reads file names, one a line; answers each with a line: "accept", or "refuse LINE:COLUMN WHY". */
#include "base/caps.h"
#include "base/file.h"
#include "base/json.h"

enum { FILE_MAX = 64 << 20 };

/* Puts the text together again from its tape: what lies between strings, and every string. */
static dv_result rebuild(const dv_json *json, dv_buf *out)
{
    size_t done = 0;
    for (uint32_t i = 0; i < json->count; i++) {
        if (json->tokens[i].type != DV_JSON_KEY && json->tokens[i].type != DV_JSON_STRING) {
            continue;
        }
        dv_slice raw = dv_json_raw(json, i);
        DV_TRY(dv_buf_append(out, dv_slice_sub(json->text, done, json->tokens[i].start - done)));
        DV_TRY(dv_buf_append(out, raw));
        done = json->tokens[i].start + raw.len;
    }
    return dv_buf_append(out, dv_slice_sub(json->text, done, json->text.len));
}

static dv_result check(dv_slice text, dv_error *error)
{
    const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = DV_LIMIT_JSON_TOKENS};
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    if (arena == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "out of memory");
    }
    dv_json json;
    DV_TRY(dv_json_scan(text, &limits, arena, &json, error));
    dv_auto(buf) dv_buf again = dv_buf_init(FILE_MAX);
    DV_TRY(rebuild(&json, &again));
    if (!dv_slice_eq(text, dv_buf_slice(&again))) {
        return dv_error_set(error, DV_ERR_INTERNAL, "the tape does not give the text back");
    }
    return DV_OK;
}

static void answer(const char *path)
{
    dv_auto(buf) dv_buf text = dv_buf_init(FILE_MAX);
    dv_error error = {0};
    dv_result result = dv_file_read(path, &text, &error);
    if (result != DV_OK) {
        printf("unreadable %s\n", error.message);
        return;
    }
    result = check(dv_buf_slice(&text), &error);
    if (result == DV_OK) {
        printf("accept\n");
    } else if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        printf("refuse %d:%d %s\n", error.line, error.column, error.message);
    } else {
        printf("failed %s\n", error.message);
    }
}

int main(void)
{
    char path[4096];
    while (fgets(path, sizeof(path), stdin) != NULL) {
        path[strcspn(path, "\n")] = '\0';
        answer(path);
    }
    return ferror(stdin) ? 1 : 0;
}
