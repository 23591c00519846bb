/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/state.h"

#include "base/codec.h"
#include "base/file.h"

#include <inttypes.h>
#include <limits.h>

/* Lines of words:
 *   dvara-log-state 2
 *   tree NAME SIZE ROOT PACKED MINIMUM    (one for each log)
 *   segment ID SOURCE SEQUENCE OFFSET     (any number)
 *   crc HEX                               (CRC-32C of all before) */
static const char first_line[] = "dvara-log-state 2";

enum { STATE_MAX = 2 << 20 };

static dv_result format_position(const dv_log_position *position, dv_buf *out)
{
    char id[DV_UUID_TEXT_LEN + 1];
    dv_uuid_format(&position->segment, id);
    return dv_buf_append_printf(out, "segment %s %s %" PRIu64 " %" PRIu64 "\n", id,
                                position->source, position->sequence, position->offset);
}

static dv_result format_tree(const dv_log_tree *tree, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "tree %s %" PRIu64 " ", tree->name, tree->size));
    DV_TRY(dv_hex_encode(dv_slice_of(tree->root.bytes, DV_HASH_LEN), out));
    return dv_buf_append_printf(out, " %" PRIu64 " %" PRIu64 "\n", tree->packed, tree->minimum);
}

dv_result dv_log_state_format(const dv_log_state *state, dv_buf *out)
{
    dv_buf_clear(out);
    DV_TRY(dv_buf_append_printf(out, "%s\n", first_line));
    for (size_t i = 0; i < state->tree_count; i++) {
        DV_TRY(format_tree(&state->trees[i], out));
    }
    for (size_t i = 0; i < state->position_count; i++) {
        DV_TRY(format_position(&state->positions[i], out));
    }
    return dv_buf_append_printf(out, "crc %08" PRIx32 "\n", dv_crc32c(0, dv_buf_slice(out)));
}

bool dv_log_name_is(dv_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.ptr[i];
        bool letter = byte >= 'a' && byte <= 'z';
        bool inside = (byte >= '0' && byte <= '9') || byte == '-';
        if (!letter && (!inside || i == 0)) {
            return false;
        }
    }
    return name.len > 0 && name.len <= DV_LOG_NAME_MAX;
}

static bool read_number(dv_slice word, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < word.len; i++) {
        uint8_t digit = (uint8_t)(word.ptr[i] - '0');
        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return word.len > 0;
}

static bool next_number(dv_slice *rest, uint64_t *ret_number)
{
    dv_slice word;
    return dv_slice_split(rest, ' ', &word) && read_number(word, ret_number);
}

static bool read_tree(dv_slice words, dv_log_state *state)
{
    dv_slice name, root;
    if (state->tree_count == DV_LOG_TREES_MAX || state->position_count > 0) {
        return false;
    }
    dv_log_tree *tree = &state->trees[state->tree_count];
    memset(tree, 0, sizeof(*tree));
    if (!dv_slice_split(&words, ' ', &name) || !dv_log_name_is(name)) {
        return false;
    }
    dv_slice_copy(name, tree->name, sizeof(tree->name));
    bool good = dv_log_state_tree(state, tree->name) == NULL && next_number(&words, &tree->size) &&
                dv_slice_split(&words, ' ', &root) && root.len == 2 * DV_HASH_LEN &&
                dv_hex_decode(root, tree->root.bytes, DV_HASH_LEN) == DV_OK &&
                next_number(&words, &tree->packed) && next_number(&words, &tree->minimum);
    state->tree_count++;
    return good && tree->packed <= tree->size && tree->minimum <= tree->packed;
}

static bool read_position(dv_slice words, dv_log_state *state)
{
    dv_slice id, source;
    if (state->position_count == DV_LOG_POSITIONS_MAX) {
        return false;
    }
    dv_log_position *position = &state->positions[state->position_count];
    memset(position, 0, sizeof(*position));
    if (!dv_slice_split(&words, ' ', &id) || dv_uuid_parse(id, &position->segment) != DV_OK ||
        !dv_slice_split(&words, ' ', &source) || source.len > DV_SEGMENT_SOURCE_MAX ||
        !next_number(&words, &position->sequence) || !next_number(&words, &position->offset)) {
        return false;
    }
    memcpy(position->source, source.ptr, source.len);
    state->position_count++;
    return true;
}

/* Digits are small letters, or a change of one would be none. */
static bool read_crc(dv_slice words, dv_slice before)
{
    char right[9];
    (void)snprintf(right, sizeof(right), "%08" PRIx32, dv_crc32c(0, before));
    return dv_slice_eq_str(words, right);
}

/* One line; *ret_end when it is the last one. */
static bool read_line(dv_slice line, dv_slice before, int number, dv_log_state *state,
                      bool *ret_end)
{
    dv_slice rest = line, word;
    if (number == 1) {
        return dv_slice_eq_str(line, first_line);
    }
    if (!dv_slice_split(&rest, ' ', &word)) {
        return false;
    }
    if (dv_slice_eq_str(word, "crc")) {
        *ret_end = true;
        return read_crc(rest, before);
    }
    return dv_slice_eq_str(word, "tree")
               ? read_tree(rest, state)
               : dv_slice_eq_str(word, "segment") && read_position(rest, state);
}

dv_result dv_log_state_parse(dv_slice text, dv_log_state *ret_state, dv_error *error)
{
    dv_slice rest = text, line;
    bool end = false;
    ret_state->position_count = 0;
    ret_state->tree_count = 0;
    for (int number = 1; !end && dv_slice_split(&rest, '\n', &line); number++) {
        dv_slice before = dv_slice_of(text.ptr, (size_t)(line.ptr - text.ptr));
        if (!read_line(line, before, number, ret_state, &end)) {
            return dv_error_set_at(error, DV_ERR_CORRUPT, number, 0,
                                   "the log's state file is damaged in line %d", number);
        }
    }
    if (!end || rest.ptr == NULL || rest.len != 0) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the log's state file is cut short");
    }
    return DV_OK;
}

dv_result dv_log_state_load(const char *folder, dv_log_state *ret_state, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(STATE_MAX);
    int len = snprintf(path, sizeof(path), "%s/state", folder);
    if (len < 0 || len >= (int)sizeof(path)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    DV_TRY(dv_file_read(path, &text, error));
    return dv_log_state_parse(dv_buf_slice(&text), ret_state, error);
}

dv_result dv_log_state_save(const char *folder, const dv_log_state *state, dv_error *error)
{
    enum { FILE_MODE = 0644 };
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(STATE_MAX);
    int len = snprintf(path, sizeof(path), "%s/state", folder);
    if (len < 0 || len >= (int)sizeof(path)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    DV_TRY(dv_log_state_format(state, &text));
    return dv_file_write_atomic(path, dv_buf_slice(&text), FILE_MODE, error);
}

dv_log_tree *dv_log_state_tree(dv_log_state *state, const char *name)
{
    for (size_t i = 0; i < state->tree_count; i++) {
        if (strcmp(state->trees[i].name, name) == 0) {
            return &state->trees[i];
        }
    }
    return NULL;
}

dv_log_position *dv_log_state_find(dv_log_state *state, const dv_uuid *segment)
{
    for (size_t i = 0; i < state->position_count; i++) {
        if (memcmp(&state->positions[i].segment, segment, sizeof(*segment)) == 0) {
            return &state->positions[i];
        }
    }
    return NULL;
}
