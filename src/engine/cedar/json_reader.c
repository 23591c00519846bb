/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/json_reader.h"

#include "base/caps.h"

#include <stdarg.h>

enum { TOKENS_MAX = 1 << 24, POINTER_MAX = 200 };

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

/* Adds one step to the pointer: a name or a number. */
static size_t add_step(const dv_cedar_reader *reader, uint32_t key, size_t number, char *out,
                       size_t at)
{
    dv_slice name = dv_json_raw(&reader->json, key);

    if (!dv_cedar_reader_is(reader, key, DV_JSON_KEY)) {
        return at + (size_t)snprintf(out + at, POINTER_MAX - at, "/%zu", number);
    }
    out[at++] = '/';
    for (size_t i = 0; i < name.len && at + 3 < POINTER_MAX; i++) {
        dv_slice written = dv_json_step_byte(&name.ptr[i]);
        memcpy(out + at, written.ptr, written.len);
        at += written.len;
    }
    return at;
}

/* The pointer of a token, from the top; what does not fit is left out. */
static void find_pointer(const dv_cedar_reader *reader, uint32_t token, char out[POINTER_MAX])
{
    uint32_t within = 0;
    size_t at = 0;

    while (within != token && at + 32 < POINTER_MAX) {
        uint32_t child = within + 1;
        size_t number = 0;
        for (; dv_cedar_reader_next(reader, child) <= token;
             child = dv_cedar_reader_next(reader, child)) {
            number++;
        }
        at = add_step(reader, child, number, out, at);
        within =
            dv_cedar_reader_is(reader, child, DV_JSON_KEY) && child != token ? child + 1 : child;
    }
    out[at] = '\0';
}

dv_result dv_cedar_reader_refuse(const dv_cedar_reader *reader, uint32_t token, const char *format,
                                 ...)
{
    char message[DV_ERROR_MESSAGE_MAX - POINTER_MAX - 16], pointer[POINTER_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    find_pointer(reader, token, pointer);
    return dv_cedar_error_at(&reader->place, reader->json.tokens[token].start, "%s (at %s)",
                             message, pointer[0] == '\0' ? "the top" : pointer);
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
