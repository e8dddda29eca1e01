package web

import "github.com/foreshock/foreshock/internal/topology"

func shopGraph() *topology.Graph {
	return topology.NewGraph([]topology.Node{
		{Service: "checkout", Owner: "team-shop"}, {Service: "frontend", Entry: true, Owner: "team-web"}, {Service: "inventory"},
		{Service: "payments", Owner: "team-pay", Runbook: "https://runbooks.example/payments", Critical: true}, {Service: "payments-db", Declared: true, Runbook: "javascript:alert(1)"},
	}, []topology.Edge{
		{Caller: "frontend", Callee: "checkout", Rate: 118.4}, {Caller: "checkout", Callee: "payments", Rate: 42}, {Caller: "checkout", Callee: "inventory", Rate: 80},
		{Caller: "payments", Callee: "payments-db", Declared: true},
	})
}
