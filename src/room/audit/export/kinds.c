/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/kind.h"

/* By the configuration's type. */
const dv_export_kind *const dv_export_kinds[DV_EXPORT_TYPES] = {
    [DV_EXPORT_FILE] = &dv_export_kind_file,
    [DV_EXPORT_SYSLOG] = &dv_export_kind_syslog,
    [DV_EXPORT_OTLP] = &dv_export_kind_otlp,
    [DV_EXPORT_CLICKHOUSE] = &dv_export_kind_clickhouse,
    [DV_EXPORT_OPENSEARCH] = &dv_export_kind_opensearch,
    [DV_EXPORT_WEBHOOK] = &dv_export_kind_webhook,
    [DV_EXPORT_EMAIL] = &dv_export_kind_email,
};
