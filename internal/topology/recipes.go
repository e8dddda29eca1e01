package topology

import "github.com/prometheus/prometheus/model/relabel"

// recipes are all of them. The metric and label names are those of the
// projects' documentation; docs/topology.md says of which versions.
func recipes(r rewriter) []recipe {
	return []recipe{
		serviceGraph(r), otelSpanMetrics(r), tempoSpanMetrics(r), istio(r), linkerd(r), envoy(r), hubble(r),
		httpClient(r), rpcClient(r), dbClient(r), messagingClient(), kubernetesNodes(r),
	}
}

// serviceGraph reads Tempo's metrics generator and the collector's service
// graph connector. Both name the callers of root spans "user", which would hide
// that their callees are entries.
func serviceGraph(r rewriter) recipe {
	return recipe{
		name: "tempo-service-graph",
		queries: []recipeQuery{{
			metric: "traces_service_graph_request_total", match: `client!="user"`,
			caller: []string{"client"}, callee: []string{"server"},
			callerSpace: []string{"client_k8s_namespace_name", "client_service_namespace", "namespace"},
			calleeSpace: []string{"server_k8s_namespace_name", "server_service_namespace", "namespace"},
			keep:        []string{"connection_type"},
		}},
		before: join(r.address(), []*relabel.Config{
			r.set(KindLabel, string(Database), "callee;database", EndLabel, "connection_type"),
			r.set(KindLabel, string(External), "callee;virtual_node", EndLabel, "connection_type"),
		}),
		after: join(r.local(), r.global("callee;(?:database|virtual_node);", EndLabel, "connection_type")),
	}
}

// spanMetrics are the queries over the counters of client, producer and consumer spans.
func spanMetrics(caller []string, metrics ...string) []recipeQuery {
	space := []string{"k8s_namespace_name", "namespace"}
	var out []recipeQuery
	for _, m := range metrics {
		out = append(out, recipeQuery{
			metric: m, match: `span_kind="SPAN_KIND_CLIENT"`, caller: caller,
			callee: []string{"peer_service", "server_address", "net_peer_name"}, callerSpace: space, calleeSpace: space,
			keep: []string{"db_system", "db_system_name"},
		})
	}
	for _, m := range metrics {
		out = append(out, recipeQuery{
			metric: m, match: `span_kind=~"SPAN_KIND_(PRODUCER|CONSUMER)",messaging_destination_name!=""`, caller: caller,
			callee: []string{"messaging_destination_name"}, callerSpace: space, calleeSpace: []string{},
			kind: Queue, keep: []string{"messaging_destination_name"},
		})
	}
	return out
}

func otelSpanMetrics(r rewriter) recipe {
	return recipe{
		name:    "otel-span-metrics",
		queries: spanMetrics([]string{"service_name"}, "traces_span_metrics_calls_total", "calls_total"),
		before:  join(r.address(), r.databases()), after: r.peers(),
	}
}

func tempoSpanMetrics(r rewriter) recipe {
	return recipe{
		name:    "tempo-span-metrics",
		queries: spanMetrics([]string{"service"}, "traces_spanmetrics_calls_total"),
		before:  join(r.address(), r.databases()), after: r.peers(),
	}
}

// istio reads what clients' proxies and waypoints report: servers report the
// same calls once more. A waypoint's are a query of its own, since a call may pass
// both. Bytes sent show TCP connections that live for long.
func istio(r rewriter) recipe {
	query := func(metric, reporter string, presence bool) recipeQuery {
		return recipeQuery{
			metric: metric, match: `reporter="` + reporter + `"`, presence: presence,
			caller: []string{"source_canonical_service", "source_workload"}, callerSpace: []string{"source_workload_namespace"},
			callee:      []string{"destination_canonical_service", "destination_service_name"},
			calleeSpace: []string{"destination_workload_namespace", "destination_service_namespace"},
		}
	}
	return recipe{
		name: "istio",
		queries: []recipeQuery{
			query("istio_requests_total", "source", false),
			query("istio_requests_total", "waypoint", false),
			query("istio_tcp_sent_bytes_total", "source", true),
		},
		before: r.address(),
		after: join(r.unknown(), []*relabel.Config{
			r.drop("(?:InboundPassthrough.*|PassthroughCluster|BlackHoleCluster)", r.own),
		}, r.local(), r.external()),
	}
}

func linkerd(r rewriter) recipe {
	return recipe{
		name: "linkerd",
		queries: []recipeQuery{{
			metric: "response_total", match: `direction="outbound"`,
			caller:      []string{"deployment", "statefulset", "daemonset"},
			callee:      []string{"dst_deployment", "dst_statefulset", "dst_daemonset", "authority"},
			calleeSpace: []string{"dst_namespace"},
		}},
		before: r.address(), after: r.peers(),
	}
}

// envoy reads an Envoy's own clusters. What a cluster is called is up to whoever
// configures it: the names that Istio, Contour and Consul make are taken apart.
func envoy(r rewriter) recipe {
	return recipe{
		name: "envoy",
		queries: []recipeQuery{{
			metric: "envoy_cluster_upstream_rq_total",
			match:  `envoy_cluster_name!~"inbound.*|local_.*|.*xds.*|ads.*|sds.*|prometheus_stats|agent|zipkin|.*_admin|admin|BlackHoleCluster|PassthroughCluster"`,
			callee: []string{"envoy_cluster_name"},
		}},
		before: join([]*relabel.Config{
			r.set(r.own, "$1", `callee;outbound_?[|][0-9]+[|][^|]*[|](.+)`, EndLabel, r.own),
			r.set(r.own, "$1", `callee;outbound_[.][0-9]+_[.][^.]*_[.](.+)`, EndLabel, r.own),
			r.set(r.own, "$1", `callee;([^.]+)[.].+[.]consul`, EndLabel, r.own),
			r.set(r.space, "$1", `callee;([^/]+)/([^/]+)/[^/]+/[0-9a-f]+`, EndLabel, r.own),
			r.set(r.own, "$1", `callee;[^/]+/([^/]+)/[^/]+/[0-9a-f]+`, EndLabel, r.own),
		}, r.address()),
		after: r.peers(),
	}
}

// hubble reads Cilium's HTTP requests, which either side may report, and who opens
// TCP connections. Flows are not used: replies are counted among them, in the
// other direction.
func hubble(r rewriter) recipe {
	query := func(metric, match string, presence bool) recipeQuery {
		return recipeQuery{
			metric: metric, match: match, presence: presence,
			caller: []string{"source_workload", "source_app"}, callerSpace: []string{"source_namespace"},
			callee: []string{"destination_workload", "destination_app"}, calleeSpace: []string{"destination_namespace"},
		}
	}
	return recipe{
		name: "cilium-hubble",
		queries: []recipeQuery{
			query("hubble_http_requests_total", `reporter!="server"`, false),
			query("hubble_http_requests_total", `reporter="server"`, false),
			query("hubble_tcp_flags_total", `flag="SYN"`, true),
		},
		after: r.unknown(),
	}
}

func httpClient(r rewriter) recipe {
	return recipe{
		name: "http-client",
		queries: []recipeQuery{
			{metric: "http_client_request_duration_seconds_count", caller: sdk(r), callee: []string{"server_address"}},
			{metric: "http_client_duration_milliseconds_count", caller: sdk(r), callee: []string{"server_address", "net_peer_name"}},
			{metric: "http_client_requests_seconds_count", caller: sdk(r), callee: []string{"client_name", "clientName"}},
		},
		before: r.address(), after: r.peers(),
	}
}

func rpcClient(r rewriter) recipe {
	return recipe{
		name: "rpc-client",
		queries: []recipeQuery{
			{metric: "rpc_client_call_duration_seconds_count", caller: sdk(r), callee: []string{"server_address"}},
			{metric: "rpc_client_duration_milliseconds_count", caller: sdk(r), callee: []string{"server_address", "net_peer_name"}},
			{metric: "grpc_client_attempt_duration_seconds_count", caller: sdk(r), callee: []string{"grpc_target"}},
		},
		before: r.address(), after: r.peers(),
	}
}

// dbClient takes the database's address, and its name where there is none. Its
// system alone is not enough: all PostgreSQLs would be one.
func dbClient(r rewriter) recipe {
	return recipe{
		name: "db-client",
		queries: []recipeQuery{{
			metric: "db_client_operation_duration_seconds_count", caller: sdk(r),
			callee: []string{"server_address", "db_namespace"}, kind: Database, keep: []string{"db_system", "db_system_name"},
		}},
		before: join(r.address(), r.databases()),
		after:  join(r.local(), r.global("callee;", EndLabel)),
	}
}

// messagingClient has edges from producers and from consumers to the queue that
// they share, which no namespace owns.
func messagingClient() recipe {
	query := func(metric string) recipeQuery {
		return recipeQuery{metric: metric, callee: []string{"messaging_destination_name"}, calleeSpace: []string{}, kind: Queue}
	}
	return recipe{
		name:    "messaging-client",
		queries: []recipeQuery{query("messaging_client_sent_messages_total"), query("messaging_client_consumed_messages_total")},
	}
}

// kubernetesNodes says on which node a workload's pods are, and in which zone
// the node is. A DaemonSet runs on all of them, which says nothing.
func kubernetesNodes(r rewriter) recipe {
	const suffix = "[bcdfghjklmnpqrstvwxz2456789]{1,10}" // of a ReplicaSet: its pod template's hash
	return recipe{
		name: "kubernetes-nodes",
		queries: []recipeQuery{
			{
				metric: "kube_pod_info", match: `node!="",created_by_kind=~"ReplicaSet|StatefulSet|Job"`, gauge: true, presence: true,
				caller: []string{"created_by_name"}, callerSpace: []string{"exported_namespace", "namespace"},
				callee: []string{"node"}, calleeSpace: []string{}, kind: Machine, keep: []string{"created_by_kind"},
			},
			{
				metric: "kube_node_labels", match: `label_topology_kubernetes_io_zone!=""`, gauge: true, presence: true,
				caller: []string{"node"}, callerSpace: []string{},
				callee: []string{"label_topology_kubernetes_io_zone"}, calleeSpace: []string{}, kind: Zone,
			},
		},
		before: []*relabel.Config{
			r.set(r.own, "$1", "caller;ReplicaSet;(.+)-"+suffix, EndLabel, "created_by_kind", "created_by_name"),
			r.set(r.own, "$1", "caller;Job;(.+)-[0-9]+", EndLabel, "created_by_kind", "created_by_name"),
		},
	}
}

// sdk is who an SDK's metrics belong to: the label that names services, or
// else that of the collector's Prometheus exporter.
func sdk(r rewriter) []string { return []string{r.own, "service_name"} }
