/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/slice.h"

/* The published API documents (generated, built in). */
extern const dv_slice dv_document_openapi; /* OpenAPI 3.1, JSON */
extern const dv_slice dv_document_page;    /* the same as one HTML page */
