/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/json_reader.h"

#include "base/caps.h"

#include <stdarg.h>

enum { TOKENS_MAX = 1 << 24 };

dv_result dv_cedar_reader_init(dv_cedar_reader *reader, dv_slice text, size_t max_bytes,
                               uint32_t max_depth, dv_arena *arena, dv_error *error)
{
    const dv_json_limits limits = {
        .depth = max_depth, .tokens = TOKENS_MAX, .refuse_duplicate_keys = true};

    if (text.len > max_bytes) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "this may have %zu bytes, it has %zu",
                            max_bytes, text.len);
    }
    *reader = (dv_cedar_reader){.arena = arena, .place = {.error = error}};
    DV_TRY(dv_arena_copy(arena, text, &reader->place.text));
    return dv_json_scan(reader->place.text, &limits, arena, &reader->json, error);
}

dv_result dv_cedar_reader_refuse(const dv_cedar_reader *reader, uint32_t token, const char *format,
                                 ...)
{
    char message[DV_ERROR_MESSAGE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return dv_cedar_error_at(&reader->place, reader->json.tokens[token].start, "%s", message);
}

size_t dv_cedar_reader_count(const dv_cedar_reader *reader, uint32_t token)
{
    size_t count = 0;

    for (uint32_t i = token + 1; i < dv_cedar_reader_next(reader, token);
         i = dv_cedar_reader_next(reader, i)) {
        count++;
    }
    return count;
}

dv_result dv_cedar_reader_text(const dv_cedar_reader *reader, uint32_t token, dv_slice *ret_text)
{
    if (!dv_cedar_reader_is(reader, token, DV_JSON_STRING)) {
        return dv_cedar_reader_refuse(reader, token, "a string is wanted here");
    }
    return dv_json_string(&reader->json, token, reader->arena, ret_text);
}

static dv_result note_member(const dv_cedar_reader *reader, uint32_t key, const char *what,
                             const char *const *names, size_t count, uint32_t *tokens)
{
    dv_slice name = {0};

    DV_TRY(dv_json_string(&reader->json, key, reader->arena, &name));
    for (size_t i = 0; i < count; i++) {
        if (dv_slice_eq_str(name, names[i])) {
            tokens[i] = dv_cedar_reader_is(reader, key + 1, DV_JSON_NULL) ? 0 : key + 1;
            return DV_OK;
        }
    }
    return dv_cedar_reader_refuse(reader, key, "%s has no member '%.*s'", what,
                                  DV_SLICE_ARGS(dv_slice_sub(name, 0, 40)));
}

dv_result dv_cedar_reader_members(const dv_cedar_reader *reader, uint32_t token, const char *what,
                                  const char *const *names, size_t count, uint32_t *ret_tokens)
{
    if (!dv_cedar_reader_is(reader, token, DV_JSON_OBJECT)) {
        return dv_cedar_reader_refuse(reader, token, "%s is an object", what);
    }
    memset(ret_tokens, 0, count * sizeof(*ret_tokens));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(reader, token);
         i = dv_cedar_reader_next(reader, i)) {
        DV_TRY(note_member(reader, i, what, names, count, ret_tokens));
    }
    return DV_OK;
}
