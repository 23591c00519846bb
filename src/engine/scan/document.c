/* SPDX-License-Identifier: Apache-2.0 */
/* The text in the XML of office documents, through expat. Runs of one paragraph are joined, so that
 * a value is found however it is formatted; paragraphs and cells end with a line. */
#include "base/markup.h"
#include "engine/scan/scan_private.h"

#include <expat.h>

enum { TEXT_PIECE = 64 << 10, XML_DEPTH_MAX = 1024 };

typedef struct reading {
    dv_scan *scan;
    dv_scan_place place;
    XML_Parser parser;
    dv_buf text;
    uint32_t depth;
    dv_result result;
} reading;

static void end_with(reading *r, dv_result result)
{
    if (r->result == DV_OK && result != DV_OK) {
        r->result = result;
        (void)XML_StopParser(r->parser, XML_FALSE);
    }
}

static dv_result flush(reading *r, bool last)
{
    const dv_scan_visitor *visitor = r->scan->visitor;
    dv_result result = visitor->text(visitor->data, &r->place, dv_buf_slice(&r->text), last);
    dv_buf_clear(&r->text);
    return result;
}

static dv_result add(reading *r, dv_slice text)
{
    if (r->text.len + text.len > TEXT_PIECE) {
        DV_TRY(flush(r, false));
    }
    return dv_buf_append(&r->text, text);
}

static void XMLCALL on_text(void *data, const XML_Char *text, int len)
{
    end_with(data, add(data, dv_slice_of(text, (size_t)len)));
}

static bool ends_line(const char *name)
{
    const char *colon = strrchr(name, ':');
    return dv_markup_ends_line(dv_slice_str(colon != NULL ? colon + 1 : name));
}

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    reading *r = data;
    if (++r->depth > XML_DEPTH_MAX) {
        dv_scan_problem(r->scan, "holds XML that is nested too deep");
        end_with(r, DV_ERR_TOO_LARGE);
        return;
    }
    /* Addresses of links and the like stand in attributes. */
    for (size_t i = 0; attributes[i] != NULL; i += 2) {
        if (strcmp(attributes[i], "Target") == 0 || strcmp(attributes[i], "xlink:href") == 0) {
            end_with(r, add(r, DV_LIT(" ")));
            end_with(r, add(r, dv_slice_str(attributes[i + 1])));
            end_with(r, add(r, DV_LIT(" ")));
        }
    }
}

static void XMLCALL on_end(void *data, const XML_Char *name)
{
    reading *r = data;
    r->depth--;
    if (ends_line(name)) {
        end_with(r, add(r, DV_LIT("\n")));
    }
}

/* No document of an office program declares entities: what does wants to grow. */
static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int internal)
{
    reading *r = data;
    dv_scan_problem(r->scan, "holds XML with a document type, which is not read");
    end_with(r, DV_ERR_UNSUPPORTED);
}

/* Whatever the reader refuses leaves the rest unread, and the item says so. */
static dv_result parse(reading *r, dv_scan_source *source)
{
    uint8_t piece[16 << 10];
    size_t len = 1;
    while (len > 0) {
        DV_TRY(dv_scan_read(source, piece, sizeof(piece), &len));
        enum XML_Status status = XML_Parse(r->parser, (const char *)piece, (int)len, len == 0);
        if (status == XML_STATUS_OK) {
            continue;
        }
        if (XML_GetErrorCode(r->parser) == XML_ERROR_NO_MEMORY) {
            return DV_ERR_NO_MEMORY;
        }
        dv_scan_problem(r->scan, "holds XML that could not be read: %s",
                        XML_ErrorString(XML_GetErrorCode(r->parser)));
        return r->result == DV_ERR_TOO_LARGE || r->result == DV_ERR_UNSUPPORTED ? DV_OK : r->result;
    }
    return DV_OK;
}

dv_result dv_scan_document(dv_scan *scan, dv_scan_source *source, dv_slice member)
{
    reading r = {.scan = scan, .place.member = member, .text = dv_buf_init(16 << 20)};
    r.parser = XML_ParserCreate(NULL);
    if (r.parser == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    dv_result result = parse(&r, source);
    XML_ParserFree(r.parser);
    result = result == DV_OK ? flush(&r, true) : result;
    dv_buf_wipe(&r.text);
    return result;
}
