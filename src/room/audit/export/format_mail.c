/* SPDX-License-Identifier: Apache-2.0 */
/* An alert as a mail that people read. Nothing of an event can begin a header: control characters
 * become spaces, and the subject is an encoded word (RFC 2047) unless it is plain ASCII. */
#include "base/codec.h"
#include "room/audit/export/format.h"

#include <time.h>

enum { LINE_MAX_LEN = 72, TEXT_MAX = 1000, SUBJECT_WORD = 42, SUBJECT_LINE = 68 };

/* The text of a line without what would end it, cut at a character's end. */
static dv_result clean(dv_buf *out, dv_slice text)
{
    for (size_t i = 0; i < DV_MIN(text.len, (size_t)TEXT_MAX); i++) {
        if (i + 4 > TEXT_MAX && (text.ptr[i] & 0xc0) != 0x80) {
            break;
        }
        bool control = text.ptr[i] < ' ' || text.ptr[i] == 0x7f;
        DV_TRY(dv_buf_append_byte(out, control ? ' ' : text.ptr[i]));
    }
    return DV_OK;
}

static bool is_ascii(dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

/* How many bytes of the text's front are whole characters, `most` of them. */
static size_t whole_characters(dv_slice text, size_t most)
{
    size_t len = DV_MIN(text.len, most);
    while (len > 0 && len < text.len && (text.ptr[len] & 0xc0) == 0x80) {
        len--;
    }
    return len > 0 ? len : DV_MIN(text.len, most);
}

/* RFC 2047: words of at most 75 characters, folded. */
static dv_result put_subject(dv_buf *out, dv_slice text)
{
    DV_TRY(dv_buf_append_str(out, "Subject: "));
    if (is_ascii(text) && text.len <= SUBJECT_LINE) {
        DV_TRY(dv_buf_append(out, text));
        return dv_buf_append_str(out, "\r\n");
    }
    for (bool first = true; text.len > 0; first = false) {
        size_t len = whole_characters(text, SUBJECT_WORD);
        DV_TRY(dv_buf_append_str(out, first ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?"));
        DV_TRY(dv_base64_encode(dv_slice_sub(text, 0, len), out));
        DV_TRY(dv_buf_append_str(out, "?="));
        text = dv_slice_sub(text, len, text.len);
    }
    return dv_buf_append_str(out, "\r\n");
}

/* RFC 5322 section 3.3. */
static dv_result put_date(dv_buf *out, dv_time now)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(now / DV_SECOND);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL) {
        return DV_ERR_INVALID;
    }
    return dv_buf_append_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n",
                                days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon],
                                utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

/* The same alert has the same id whenever it is sent. */
static dv_result put_message_id(dv_buf *out, const dv_export_event *event, const char *from)
{
    DV_TRY(dv_buf_append_str(out, "Message-ID: <"));
    DV_TRY(dv_buf_append_u64(out, event->index));
    DV_TRY(dv_buf_append_byte(out, '.'));
    for (const char *at = event->origin; *at != '\0'; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                     (*at >= '0' && *at <= '9') || *at == '-';
        DV_TRY(dv_buf_append_byte(out, plain ? (uint8_t)*at : '_'));
    }
    return dv_buf_append_printf(out, "%s>\r\n", strchr(from, '@'));
}

/* RFC 2045 section 6.7, lines of at most 76. */
static dv_result put_quoted_printable(dv_buf *out, dv_slice text)
{
    size_t column = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        bool ends_line = i + 1 == text.len || text.ptr[i + 1] == '\n';
        if (byte == '\n') {
            DV_TRY(dv_buf_append_str(out, "\r\n"));
            column = 0;
            continue;
        }
        if (column >= LINE_MAX_LEN) {
            DV_TRY(dv_buf_append_str(out, "=\r\n"));
            column = 0;
        }
        /* A dot at a line's beginning is a sign to mail servers. */
        bool literal = byte > ' ' && byte < 0x7f && byte != '=' && !(byte == '.' && column == 0);
        literal = literal || (byte == ' ' && !ends_line);
        DV_TRY(literal ? dv_buf_append_byte(out, byte) : dv_buf_append_printf(out, "=%02X", byte));
        column += literal ? 1 : 3;
    }
    return DV_OK;
}

static const char *severity_word(int64_t id)
{
    static const char *const words[] = {"UNKNOWN", "INFO",     "LOW",  "MEDIUM",
                                        "HIGH",    "CRITICAL", "FATAL"};
    return id >= 0 && id < (int64_t)DV_ARRAY_LEN(words) ? words[id] : "OTHER";
}

static dv_result put_line(dv_buf *out, const char *name, dv_slice text)
{
    if (text.len == 0) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_printf(out, "%-12s ", name));
    DV_TRY(clean(out, text));
    return dv_buf_append_byte(out, '\n');
}

static dv_result put_number_line(dv_buf *out, const char *name, int64_t number)
{
    return number <= 0 ? DV_OK : dv_buf_append_printf(out, "%-12s %lld\n", name, (long long)number);
}

static dv_result put_text(dv_buf *out, const dv_export_event *event, dv_slice title,
                          dv_arena *arena)
{
    char when[DV_TIME_TEXT_MAX], uid[DV_EXPORT_UID_MAX];
    dv_export_event_uid(event, uid);
    dv_time_format(dv_export_event_time(event) * DV_MILLISECOND, when);
    DV_TRY(clean(out, title));
    DV_TRY(dv_buf_append_str(out, "\n\n"));
    DV_TRY(put_line(out, "When:", dv_slice_str(when)));
    DV_TRY(put_line(
        out, "Severity:", dv_slice_str(severity_word(dv_export_event_int(event, "severity_id")))));
    DV_TRY(put_line(out, "What:", dv_export_event_text(event, "message", arena)));
    DV_TRY(put_line(out, "Details:", dv_export_event_text(event, "finding_info.desc", arena)));
    DV_TRY(put_number_line(out, "Count:", dv_export_event_int(event, "count")));
    DV_TRY(put_line(out, "Alert:", dv_export_event_text(event, "finding_info.uid", arena)));
    DV_TRY(put_line(out, "Log entry:", dv_slice_str(uid)));
    return dv_buf_append_printf(out,
                                "\nSee the event with:\n  dvara audit tail --from %llu --limit 1 "
                                "--output json\n",
                                (unsigned long long)event->index);
}

static dv_result put_recipients(dv_buf *out, const dv_export_destination *destination)
{
    DV_TRY(dv_buf_append_printf(out, "From: Dvara <%s>\r\nTo: ", destination->from));
    for (size_t i = 0; destination->to[i] != NULL; i++) {
        DV_TRY(dv_buf_append_printf(out, "%s<%s>", i > 0 ? ",\r\n " : "", destination->to[i]));
    }
    return dv_buf_append_str(out, "\r\n");
}

dv_result dv_export_put_mail(dv_buf *out, const dv_export_event *event,
                             const dv_export_destination *destination, dv_time now, dv_arena *arena)
{
    dv_auto(buf) dv_buf subject = dv_buf_init(8192), text = dv_buf_init(16384);
    dv_slice title = dv_export_event_text(event, "finding_info.title", arena);
    if (title.len == 0) {
        title = dv_export_event_text(event, "metadata.event_code", arena);
    }
    DV_TRY(dv_buf_append_printf(
        &subject, "[Dvara] %s: ", severity_word(dv_export_event_int(event, "severity_id"))));
    DV_TRY(clean(&subject, title));
    DV_TRY(put_date(out, now));
    DV_TRY(put_recipients(out, destination));
    DV_TRY(put_message_id(out, event, destination->from));
    DV_TRY(put_subject(out, dv_buf_slice(&subject)));
    DV_TRY(dv_buf_append_str(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                                  "Content-Type: text/plain; charset=utf-8\r\n"
                                  "Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
    DV_TRY(put_text(&text, event, title, arena));
    return put_quoted_printable(out, dv_buf_slice(&text));
}
