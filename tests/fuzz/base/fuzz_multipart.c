/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a Content-Type, a line, and a form. Parts lie in the body one after the other, and a
 * form that is written from what was read reads as the same parts. */
#include "../pieces.h"

#include "base/buf.h"
#include "base/multipart.h"

static bool lies_within(dv_slice part, dv_slice body)
{
    return part.ptr == NULL || (part.ptr >= body.ptr && part.ptr + part.len <= body.ptr + body.len);
}

static void write_part(dv_buf *out, dv_slice boundary, const dv_multipart_part *part)
{
    require(dv_buf_append_printf(out, "--%.*s\r\nContent-Disposition: form-data; name=\"%.*s\"",
                                 DV_SLICE_ARGS(boundary), DV_SLICE_ARGS(part->name)) == DV_OK);
    if (part->filename.ptr != NULL) {
        require(dv_buf_append_printf(out, "; filename=\"%.*s\"", DV_SLICE_ARGS(part->filename)) ==
                DV_OK);
    }
    if (part->type.len > 0) {
        require(dv_buf_append_printf(out, "\r\nContent-Type: %.*s", DV_SLICE_ARGS(part->type)) ==
                DV_OK);
    }
    require(dv_buf_append_str(out, "\r\n\r\n") == DV_OK);
    require(dv_buf_append(out, part->data) == DV_OK);
    require(dv_buf_append_str(out, "\r\n") == DV_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_multipart_part parts[DV_MULTIPART_PARTS_MAX];
    dv_multipart_part again[DV_MULTIPART_PARTS_MAX];
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 26);
    dv_slice body = dv_slice_of(data, size);
    dv_slice type = {NULL, 0};
    dv_slice boundary = DV_LIT("b");
    dv_error error = {0};
    size_t count = 0;
    size_t count_again = 0;
    if (size == 0 || size > 1 << 20) {
        return 0;
    }
    ptrdiff_t line = dv_slice_find_byte(body, '\n');
    if (line >= 0) {
        type = dv_slice_sub(body, 0, (size_t)line);
        body = dv_slice_sub(body, (size_t)line + 1, size);
        dv_result found = dv_multipart_boundary(type, &boundary, &error);
        require(found == DV_OK || error.message[0] != '\0');
    }
    dv_result result = dv_multipart_parse(body, boundary, parts, &count, &error);
    require(result == DV_OK ||
            ((result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) && error.message[0] != '\0'));
    for (size_t i = 0; result == DV_OK && i < count; i++) {
        require(lies_within(parts[i].name, body) && lies_within(parts[i].filename, body) &&
                lies_within(parts[i].data, body) && lies_within(parts[i].length, body));
        require(i == 0 || parts[i].name.ptr > parts[i - 1].data.ptr + parts[i - 1].data.len);
        write_part(&out, boundary, &parts[i]);
    }
    if (result != DV_OK) {
        return 0;
    }
    require(dv_buf_append_printf(&out, "--%.*s--\r\n", DV_SLICE_ARGS(boundary)) == DV_OK);
    require(dv_multipart_parse(dv_buf_slice(&out), boundary, again, &count_again, NULL) == DV_OK);
    require(count_again == count);
    for (size_t i = 0; i < count; i++) {
        require(dv_slice_eq(parts[i].name, again[i].name) &&
                dv_slice_eq(parts[i].filename, again[i].filename) &&
                (parts[i].filename.ptr == NULL) == (again[i].filename.ptr == NULL) &&
                dv_slice_eq(parts[i].data, again[i].data));
    }
    return 0;
}
