// SPDX-License-Identifier: Apache-2.0
// Every metric of the daemons; docs/metrics.md is the same list for people, and a test holds the two together.
#pragma once

#include "base/metrics.h"

namespace enclayer::base::metric {

inline constexpr const char* kPlugin = "device plugin";
inline constexpr const char* kDraDriver = "DRA driver";
inline constexpr const char* kHelper = "quote helper";
inline constexpr const char* kEveryDaemon = "all";
inline constexpr const char* kService = "attestation service";

// --- The node's EPC ---

inline constexpr MetricName kEpcCapacityMib{"enclayer_epc_capacity_mib", MetricType::kGauge, "", kPlugin,
                                            "EPC that the processor shows, in MiB."};
inline constexpr MetricName kEpcMib{"enclayer_epc_mib", MetricType::kGauge, "", kPlugin,
                                    "EPC offered by this node, in MiB."};
inline constexpr MetricName kEpcAllocatedMib{"enclayer_epc_allocated_mib", MetricType::kGauge, "", kPlugin,
                                             "EPC that the kubelet has given to containers, in MiB."};
inline constexpr MetricName kEpcRequestedMib{
    "enclayer_epc_requested_mib", MetricType::kGauge, "namespace, pod, container", kPlugin,
    "EPC that a container asked for and has, in MiB; what is beyond 512 containers is summed as pod other."};
inline constexpr MetricName kEpcMappedBytes{
    "enclayer_epc_mapped_bytes", MetricType::kGauge, "pod_uid", kPlugin,
    "Address space of enclaves that a pod's processes map, in bytes; an upper bound of the EPC they use."};
inline constexpr MetricName kEpcCommittedBytes{
    "enclayer_epc_committed_bytes", MetricType::kGauge, "", kPlugin,
    "Address space of enclaves that all processes of the node map, in bytes; an upper bound of the EPC in use."};
inline constexpr MetricName kEpcUnreadProcesses{
    "enclayer_epc_unread_processes", MetricType::kGauge, "", kPlugin,
    "Processes whose mappings could not be read when they were last counted."};
inline constexpr MetricName kEpcOpenProcesses{
    "enclayer_epc_open_processes", MetricType::kGauge, "pod_uid", kPlugin,
    "Processes that have an enclave or a guest's EPC open: until there are none, the kernel cannot raise CPUSVN."};
inline constexpr MetricName kEpcLeaks{
    "enclayer_epc_leaks_total", MetricType::kCounter, "", kPlugin,
    "Reports of the kernel that an EPC page was leaked; it makes one a boot, and one for the EPC of guests."};
inline constexpr MetricName kEpcPoisonedPages{"enclayer_epc_poisoned_pages_total", MetricType::kCounter, "", kPlugin,
                                              "Memory errors that the kernel reports for addresses in the EPC."};
inline constexpr MetricName kKernelLogLost{"enclayer_kernel_log_lost_total", MetricType::kCounter, "", kPlugin,
                                           "Times that the kernel's log had dropped records before they were read."};
inline constexpr MetricName kMiscCgroupSgxEpc{"enclayer_misc_cgroup_sgx_epc", MetricType::kGauge, "", kPlugin,
                                              "1 when the kernel has the sgx_epc misc cgroup controller, otherwise 0."};
inline constexpr MetricName kMiscCgroupSgxEpcBytes{
    "enclayer_misc_cgroup_sgx_epc_bytes", MetricType::kGauge, "", kPlugin,
    "What the sgx_epc misc cgroup controller has to give, in bytes; 0 when there is none."};
inline constexpr MetricName kAccountingErrors{"enclayer_accounting_errors_total", MetricType::kCounter, "source",
                                              kPlugin, "Times that a source of the figures per pod could not be read."};

// --- The device plugin and the kubelet ---

inline constexpr MetricName kRegistrations{"enclayer_registrations_total", MetricType::kCounter, "resource, result",
                                           kPlugin, "Tries to register with the kubelet."};
inline constexpr MetricName kListStreams{"enclayer_list_streams", MetricType::kGauge, "resource", kPlugin,
                                         "Open ListAndWatch streams."};
inline constexpr MetricName kListUpdates{"enclayer_list_updates_total", MetricType::kCounter, "resource", kPlugin,
                                         "Device lists sent to the kubelet."};
inline constexpr MetricName kAllocations{"enclayer_allocations_total", MetricType::kCounter, "resource, result",
                                         kPlugin, "Allocate calls of the kubelet, one a container."};
inline constexpr MetricName kAllocationSeconds{"enclayer_allocation_seconds", MetricType::kHistogram, "resource",
                                               kPlugin, "How long an Allocate call took in the plugin, in seconds."};
inline constexpr MetricName kDevices{"enclayer_devices", MetricType::kGauge, "resource, health", kPlugin,
                                     "Devices in the list that the kubelet is shown."};
inline constexpr MetricName kDeviceUsable{
    "enclayer_device_usable", MetricType::kGauge, "device", kPlugin,
    "1 when the device node is there and can be opened by its owner, otherwise 0."};

// --- The DRA driver ---

inline constexpr MetricName kClaimEpcMib{"enclayer_claim_epc_mib", MetricType::kGauge, "", kDraDriver,
                                         "EPC that claims can have of this node now, in MiB."};
inline constexpr MetricName kClaimEpcHeldMib{"enclayer_claim_epc_held_mib", MetricType::kGauge, "", kDraDriver,
                                             "EPC that prepared claims hold, in MiB."};
inline constexpr MetricName kClaimsPrepared{"enclayer_claims_prepared", MetricType::kGauge, "", kDraDriver,
                                            "Claims that are prepared on this node."};
inline constexpr MetricName kClaimErrors{"enclayer_claim_errors_total", MetricType::kCounter, "call", kDraDriver,
                                         "Claims that could not be prepared or released, by the kubelet's call."};

// --- The quote helper ---

inline constexpr MetricName kAesmRequests{"enclayer_aesm_requests_total", MetricType::kCounter, "request, code",
                                          kHelper, "AESM requests, by kind and by the code of the answer."};
inline constexpr MetricName kAesmErrors{"enclayer_aesm_errors_total", MetricType::kCounter, "", kHelper,
                                        "AESM requests answered with an error code."};
inline constexpr MetricName kQuotes{"enclayer_quotes_total", MetricType::kCounter, "", kHelper, "Quotes made."};
inline constexpr MetricName kPodQuotes{"enclayer_pod_quotes_total", MetricType::kCounter,
                                       "slot, namespace, pod, container, result", kHelper,
                                       "Requests for quotes, made or refused, of each slot and of the legacy socket; "
                                       "of slots that are gone as slot gone."};
inline constexpr MetricName kConnections{"enclayer_connections_total", MetricType::kCounter, "", kHelper,
                                         "Connections accepted."};
inline constexpr MetricName kConnectionsOpen{"enclayer_connections_open", MetricType::kGauge, "", kHelper,
                                             "Connections open now."};
inline constexpr MetricName kConnectionsEvicted{
    "enclayer_connections_evicted_total", MetricType::kCounter, "", kHelper,
    "Connections closed, silent ones first, because all places were taken and others waited."};
inline constexpr MetricName kSocketReplaced{
    "enclayer_socket_replaced_total", MetricType::kCounter, "", kHelper,
    "Times that somebody else was found to have replaced or removed the helper's socket."};
inline constexpr MetricName kSocketOurs{"enclayer_socket_ours", MetricType::kGauge, "", kHelper,
                                        "1 while this instance serves the socket, 0 while it waits for a newer one."};
inline constexpr MetricName kSocketResumed{
    "enclayer_socket_resumed_total", MetricType::kCounter, "", kHelper,
    "Times that an instance that waited took the socket again, because the newer one was gone."};
inline constexpr MetricName kFramesRejected{"enclayer_frames_rejected_total", MetricType::kCounter, "reason", kHelper,
                                            "Frames that were not answered, or whose answer was not taken."};
inline constexpr MetricName kQuoteQueueDepth{"enclayer_quote_queue_depth", MetricType::kGauge, "", kHelper,
                                             "Requests that wait for their turn to get a quote."};
inline constexpr MetricName kQuoteQueueSeconds{"enclayer_quote_queue_seconds", MetricType::kHistogram, "", kHelper,
                                               "How long a request waited for its turn to get a quote, in seconds."};
inline constexpr MetricName kQuoteSeconds{"enclayer_quote_seconds", MetricType::kHistogram, "", kHelper,
                                          "How long the making of a quote took, in seconds."};
inline constexpr MetricName kQuotesDropped{
    "enclayer_quotes_dropped_total", MetricType::kCounter, "reason", kHelper,
    "Requests that left the queue without a quote: their client was gone, they waited too long, the queue was full."};
inline constexpr MetricName kQuoteWorkersUp{"enclayer_quote_workers_up", MetricType::kGauge, "", kHelper,
                                            "Quote workers that serve."};
inline constexpr MetricName kQuoteWorkerStarts{"enclayer_quote_worker_starts_total", MetricType::kCounter, "result",
                                               kHelper, "Starts of quote workers."};
inline constexpr MetricName kQuoteWorkerDeaths{"enclayer_quote_worker_deaths_total", MetricType::kCounter, "reason",
                                               kHelper, "Quote workers that were lost or ended, by reason."};
inline constexpr MetricName kQuoteLibraryErrors{"enclayer_quote_library_errors_total", MetricType::kCounter, "status",
                                                kHelper, "Failed calls into Intel's quote library."};
inline constexpr MetricName kQuoteKeyChanges{"enclayer_quote_key_changes_total", MetricType::kCounter, "", kHelper,
                                             "Changes of the attestation key or the Quoting Enclave."};
inline constexpr MetricName kQuoteSourceInfo{"enclayer_quote_source_info", MetricType::kGauge,
                                             "qe_isvsvn, pce_svn, library_version, tcb_status, fmspc, tcb", kHelper,
                                             "1, with what is known of where quotes come from; the rest is unknown."};
inline constexpr MetricName kPckNotBefore{
    "enclayer_pck_not_before_seconds", MetricType::kGauge, "", kHelper,
    "When the PCK certificate in the quotes begins to be valid, in seconds since 1970; time() less this is its age."};
inline constexpr MetricName kPckNotAfter{"enclayer_pck_not_after_seconds", MetricType::kGauge, "", kHelper,
                                         "When the PCK certificate in the quotes expires, in seconds since 1970."};

// --- The attestation service ---

inline constexpr MetricName kAttestRequests{
    "enclayer_attest_requests_total", MetricType::kCounter, "door, result", kService,
    "Requests answered, by door; refused is a verdict or a mistake of the caller, unavailable is ours."};
inline constexpr MetricName kAttestConnections{"enclayer_attest_connections", MetricType::kGauge, "", kService,
                                               "Connections open now."};
inline constexpr MetricName kAttestConnectionsLost{"enclayer_attest_connections_lost_total", MetricType::kCounter,
                                                   "reason", kService,
                                                   "Connections closed because they gave way to newer ones or took too "
                                                   "long, and requests that were told to come back."};
inline constexpr MetricName kAttestPolicyBroken{
    "enclayer_attest_policy_broken", MetricType::kGauge, "", kService,
    "1 while the policy's file is broken and an older text judges, otherwise 0."};
inline constexpr MetricName kAttestKeysBroken{
    "enclayer_attest_keys_broken", MetricType::kGauge, "", kService,
    "1 while the folder of signing keys is broken and the keys read before are used, otherwise 0."};
inline constexpr MetricName kAttestCollateralFailures{"enclayer_attest_collateral_failures_total", MetricType::kCounter,
                                                      "", kService, "Failed tries to fetch collateral."};
inline constexpr MetricName kAttestCollateralExpires{
    "enclayer_attest_collateral_expires_seconds", MetricType::kGauge, "", kService,
    "When the first of the collateral expires, in seconds since 1970."};
inline constexpr MetricName kAttestPlatformInfo{
    "enclayer_attest_platform_info", MetricType::kGauge, "tee, fmspc, tcb, qe_isvsvn, status, early_status", kService,
    "1, for each patch level that evidence of the last 24 h has shown: its TCB status, and that by early TCB Info."};
inline constexpr MetricName kAttestTcbEvaluationNumber{
    "enclayer_attest_tcb_evaluation_number", MetricType::kGauge, "tee, fmspc, edition", kService,
    "TCB evaluation data number of the collateral that platforms were judged by, standard and early."};

// --- Each daemon itself ---

inline constexpr MetricName kLogLinesDropped{"enclayer_log_lines_dropped_total", MetricType::kCounter, "", kEveryDaemon,
                                             "Log lines that were dropped because nobody read standard error."};

// All of the above, in this order.
inline constexpr MetricName kAll[] = {
    kEpcCapacityMib,
    kEpcMib,
    kEpcAllocatedMib,
    kEpcRequestedMib,
    kEpcMappedBytes,
    kEpcCommittedBytes,
    kEpcUnreadProcesses,
    kEpcOpenProcesses,
    kEpcLeaks,
    kEpcPoisonedPages,
    kKernelLogLost,
    kMiscCgroupSgxEpc,
    kMiscCgroupSgxEpcBytes,
    kAccountingErrors,
    kRegistrations,
    kListStreams,
    kListUpdates,
    kAllocations,
    kAllocationSeconds,
    kDevices,
    kDeviceUsable,
    kClaimEpcMib,
    kClaimEpcHeldMib,
    kClaimsPrepared,
    kClaimErrors,
    kAesmRequests,
    kAesmErrors,
    kQuotes,
    kPodQuotes,
    kConnections,
    kConnectionsOpen,
    kConnectionsEvicted,
    kSocketReplaced,
    kSocketOurs,
    kSocketResumed,
    kFramesRejected,
    kQuoteQueueDepth,
    kQuoteQueueSeconds,
    kQuoteSeconds,
    kQuotesDropped,
    kQuoteWorkersUp,
    kQuoteWorkerStarts,
    kQuoteWorkerDeaths,
    kQuoteLibraryErrors,
    kQuoteKeyChanges,
    kQuoteSourceInfo,
    kPckNotBefore,
    kPckNotAfter,
    kAttestRequests,
    kAttestConnections,
    kAttestConnectionsLost,
    kAttestPolicyBroken,
    kAttestKeysBroken,
    kAttestCollateralFailures,
    kAttestCollateralExpires,
    kAttestPlatformInfo,
    kAttestTcbEvaluationNumber,
    kLogLinesDropped,
};

}  // namespace enclayer::base::metric
