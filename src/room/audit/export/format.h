/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events in the forms that receivers take. All append to the buffer; events were read
 * (dv_export_event_read) unless a function says otherwise. Errors: DV_ERR_NO_MEMORY,
 * DV_ERR_TOO_LARGE (the buffer's own maximum; it may hold a part then). */

#include "room/audit/export/event.h"

/* The event's own JSON with metadata.uid = "ORIGIN#INDEX" in it; without a line's end. Needs no
 * event that was read. */
dv_must dv_result dv_export_put_json(dv_buf *out, const dv_export_event *event);

/* ArcSight Common Event Format, version 0 (CEF:0|Vendor|Product|...); without a line's end. */
dv_must dv_result dv_export_put_cef(dv_buf *out, const dv_export_event *event, dv_arena *arena);

/* One RFC 5424 message in a frame of octet counting (RFC 5425 section 4.3, RFC 6587 section
 * 3.4.1): "LEN <PRI>1 TIME HOST dvara - KIND [dvara@32473 origin="..." index="..."] MSG". */
dv_must dv_result dv_export_put_syslog(dv_buf *out, const dv_export_event *event, bool cef,
                                       const char *host, dv_arena *arena);

/* OTLP's ExportLogsServiceRequest as JSON (opentelemetry-proto 1.x, logs/v1): head, one logRecord
 * each with a comma between them, and the end. */
dv_must dv_result dv_export_put_otlp_head(dv_buf *out, const char *origin);
dv_must dv_result dv_export_put_otlp(dv_buf *out, const dv_export_event *event, dv_arena *arena);
dv_must dv_result dv_export_put_otlp_end(dv_buf *out);

/* One line of ClickHouse's JSONEachRow, with the columns of docs/export.md. */
dv_must dv_result dv_export_put_clickhouse(dv_buf *out, const dv_export_event *event,
                                           dv_arena *arena);

/* Two lines of OpenSearch's bulk API: create with _id, and the event with @timestamp. */
dv_must dv_result dv_export_put_opensearch(dv_buf *out, const dv_export_event *event);

/* An alert as a mail (RFC 5322, text/plain in UTF-8, quoted-printable). now: of the Date line. */
dv_must dv_result dv_export_put_mail(dv_buf *out, const dv_export_event *event,
                                     const dv_export_destination *destination, dv_time now,
                                     dv_arena *arena);
