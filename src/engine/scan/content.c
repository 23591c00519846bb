/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scan/scan_private.h"

/* ---- running text ---- */

dv_result dv_scan_text(dv_scan *scan, dv_scan_source *source, dv_slice member)
{
    uint8_t piece[DV_SCAN_PIECE];
    const dv_scan_place place = {.member = member};
    size_t len = 1;
    while (len > 0) {
        DV_TRY(dv_scan_read(source, piece, sizeof(piece), &len));
        DV_TRY(scan->visitor->text(scan->visitor->data, &place, dv_slice_of(piece, len), len == 0));
    }
    return DV_OK;
}

/* ---- by kind ---- */

static dv_result read_archive(dv_scan *scan, dv_scan_source *source, dv_slice member,
                              uint32_t nesting, dv_scan_kind *ret_kind)
{
    bool document = false;
    if (nesting >= scan->limits->nesting) {
        dv_scan_problem(scan, "holds archives within archives, more than %u deep",
                        scan->limits->nesting);
        return DV_OK;
    }
    DV_TRY(dv_scan_archive(scan, source, member, nesting + 1, &document));
    *ret_kind = document ? DV_SCAN_DOCUMENT : DV_SCAN_ARCHIVE;
    return DV_OK;
}

static dv_result read_kind(dv_scan *scan, dv_scan_source *source, dv_slice head, dv_slice member,
                           uint32_t nesting, dv_scan_kind *kind)
{
    char delimiter = '\0';
    *kind = dv_scan_kind_of(head, head.len < DV_SCAN_HEAD, &delimiter);
    switch (*kind) {
    case DV_SCAN_EMPTY:
        return DV_OK;
    case DV_SCAN_CSV:
        return dv_scan_csv(scan, source, member, delimiter);
    case DV_SCAN_JSON:
        return dv_scan_json(scan, source, member);
    case DV_SCAN_JSON_LINES:
        return dv_scan_json_lines(scan, source, member);
    case DV_SCAN_PDF:
        return dv_scan_pdf(scan, source, member);
    case DV_SCAN_ARCHIVE:
        return read_archive(scan, source, member, nesting, kind);
    case DV_SCAN_OPAQUE:
        dv_scan_problem(scan, "is %s, which is not read", dv_scan_opaque_name(head));
        return DV_OK;
    default:
        return dv_scan_text(scan, source, member);
    }
}

dv_result dv_scan_content(dv_scan *scan, dv_scan_source *source, dv_slice member, uint32_t nesting,
                          dv_scan_kind *ret_kind)
{
    dv_slice head;
    DV_TRY(dv_scan_peek(source, &head));
    if (dv_slice_starts_with(head, DV_LIT("\xFF\xFE")) ||
        dv_slice_starts_with(head, DV_LIT("\xFE\xFF"))) {
        return dv_scan_utf16(scan, source, head.ptr[0] == 0xFE, member, nesting, ret_kind);
    }
    return read_kind(scan, source, head, member, nesting, ret_kind);
}
