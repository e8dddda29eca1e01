package main

import (
	"context"
	"net"
	"time"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// health answers slowly, and at times not at all.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	n int
}

func (h *health) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	h.n++
	time.Sleep(time.Duration(h.n%7) * 4 * time.Millisecond)
	if h.n%50 == 0 {
		return nil, status.Error(codes.Unavailable, "down")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

// serveGRPC answers calls behind go-grpc-middleware's interceptor and
// OpenTelemetry's handler.
func serveGRPC(reg *prometheus.Registry) error {
	exporter, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	if err != nil {
		return err
	}
	provider := metric.NewMeterProvider(metric.WithReader(exporter))
	metrics := middleware.NewServerMetrics(middleware.WithServerHandlingTimeHistogram())
	reg.MustRegister(metrics)
	server := grpc.NewServer(grpc.UnaryInterceptor(metrics.UnaryServerInterceptor()), grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithMeterProvider(provider))))
	grpc_health_v1.RegisterHealthServer(server, &health{})
	metrics.InitializeMetrics(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(listener) // ends with Stop, whose error is nil
	defer server.Stop()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	for range 200 {
		if _, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{}); err != nil && status.Code(err) != codes.Unavailable {
			return err
		}
	}
	return nil
}
