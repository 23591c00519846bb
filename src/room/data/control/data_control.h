/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The control plane's side of data security: the `masking:` section of dvara.yaml and the detector
 * operations (api/data.yaml). */

#include "core/config.h"
#include "core/masking.h"

/* masking:
 *   request: {default: placeholder, detectors: {ip_address: alert}, off: [phone]}
 *   answer:  {default: mask}
 * Actions: block, alert, mask, placeholder. What is not named keeps its default. */
extern const dv_config_section dv_data_config_masking;

/* Turns the section into the gateway's policies. */
extern const dv_masking_source dv_data_masking;
