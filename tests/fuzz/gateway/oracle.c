/* SPDX-License-Identifier: Apache-2.0 */
/* Who may learn what. A token counts as passed on when it stands somewhere as a whole word, as the
 * bytes are or with JSON's, the URL's and the chunks' wrapping undone. */
#include "fuzz/gateway/gate.h"

#include "base/codec.h"

enum { ASKED_MAX = 1 << 20, TEXT_MAX = 8 << 20 };

static dv_buf asked = {.max = ASKED_MAX}; /* what callers sent */
static size_t requests;
static dv_buf plain = {.max = TEXT_MAX};

static void must(dv_result result)
{
    if (result != DV_OK) {
        gate_fail("the target's own buffers are too small");
    }
}

static bool is_word(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

static bool has_word(dv_slice text, dv_slice word)
{
    size_t from = 0;
    ptrdiff_t at;
    while ((at = dv_slice_find(dv_slice_sub(text, from, text.len), word)) >= 0) {
        size_t start = from + (size_t)at;
        size_t end = start + word.len;
        if ((start == 0 || !is_word(text.ptr[start - 1])) &&
            (end == text.len || !is_word(text.ptr[end]))) {
            return true;
        }
        from = start + 1;
    }
    return false;
}

/* ---- undoing what a text is wrapped in; what is no escape stays as it is ---- */

/* The bytes of one escape at the front of rest; 0: none is there. */
typedef size_t (*escape_reader)(dv_slice rest, uint8_t *ret_byte);

static bool read_hex(dv_slice digits, size_t len, uint8_t *out)
{
    return digits.len >= len && dv_hex_decode(dv_slice_sub(digits, 0, len), out, len / 2) == DV_OK;
}

static size_t read_url_escape(dv_slice rest, uint8_t *ret_byte)
{
    return rest.ptr[0] == '%' && read_hex(dv_slice_sub(rest, 1, 2), 2, ret_byte) ? 3 : 0;
}

static size_t read_json_escape(dv_slice rest, uint8_t *ret_byte)
{
    static const char letters[] = "bfnrt";
    uint8_t code[2];
    if (rest.ptr[0] != '\\' || rest.len < 2) {
        return 0;
    }
    if (rest.ptr[1] == 'u' && read_hex(dv_slice_sub(rest, 2, 4), 4, code)) {
        *ret_byte = code[0] == 0 ? code[1] : ' ';
        return 6;
    }
    *ret_byte = memchr(letters, rest.ptr[1], sizeof(letters) - 1) != NULL ? ' ' : rest.ptr[1];
    return 2;
}

static dv_slice undo(dv_slice text, escape_reader read)
{
    dv_buf_clear(&plain);
    must(dv_buf_reserve(&plain, text.len));
    for (size_t i = 0; i < text.len;) {
        uint8_t byte = text.ptr[i];
        size_t len = read(dv_slice_sub(text, i, text.len), &byte);
        must(dv_buf_append_byte(&plain, byte));
        i += len > 0 ? len : 1;
    }
    return dv_buf_slice(&plain);
}

static bool passes(dv_slice text, const char *token, escape_reader read)
{
    return has_word(text, dv_slice_str(token)) || has_word(undo(text, read), dv_slice_str(token));
}

/* ---- what must hold ---- */

void oracle_reset(void)
{
    dv_buf_clear(&asked);
    requests = 0;
}

size_t oracle_requests(void)
{
    return requests;
}

void oracle_note_asked(dv_slice bytes)
{
    must(dv_buf_append(&asked, bytes));
}

static dv_slice header(dv_slice head, const char *name)
{
    dv_slice line;
    while (dv_slice_split(&head, '\n', &line)) {
        ptrdiff_t colon = dv_slice_find_byte(line, ':');
        if (colon > 0 &&
            dv_slice_eq_nocase(dv_slice_sub(line, 0, (size_t)colon), dv_slice_str(name))) {
            return dv_slice_trim(dv_slice_sub(line, (size_t)colon + 1, line.len));
        }
    }
    return DV_LIT("");
}

static bool is_inspected(dv_slice head)
{
    ptrdiff_t space = dv_slice_find_byte(head, ' ');
    return !dv_slice_starts_with(dv_slice_sub(head, (size_t)space + 1, head.len), DV_LIT("/raw"));
}

void oracle_check_request(dv_slice head, dv_slice body)
{
    requests++;
    if (dv_slice_find(dv_buf_slice(&asked), dv_slice_str(gate.key)) < 0) {
        gate_fail("a request without the key reached the model server");
    }
    if (dv_slice_find(head, DV_LIT("dvk_")) >= 0) {
        gate_fail("a key reached the model server");
    }
    ledger_expect_open(header(head, "x-request-id"));
    if (is_inspected(head) &&
        (passes(head, GATE_ASKED, read_url_escape) || passes(body, GATE_ASKED, read_json_escape))) {
        gate_fail("a masked value reached the model server:\n%.*s%.*s", DV_SLICE_ARGS(head),
                  DV_SLICE_ARGS(body));
    }
}

/* What a caller said itself comes back to it, and the route /raw hides nothing. */
void oracle_check_answer(dv_slice bytes)
{
    if (has_word(dv_buf_slice(&asked), DV_LIT(GATE_TOLD)) ||
        dv_slice_find(dv_buf_slice(&asked), DV_LIT("/raw")) >= 0) {
        return;
    }
    if (passes(bytes, GATE_TOLD, read_json_escape)) {
        gate_fail("a masked value reached the caller:\n%.*s", DV_SLICE_ARGS(bytes));
    }
}
