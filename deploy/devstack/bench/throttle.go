package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"go.temporal.io/api/proxy"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"devicetwin/deploy/devstack/process"
)

// throttle is a proxy in front of Temporal that lets only so many signals through a
// second; the others wait for their turn, as they would at a server that is too slow.
type throttle struct {
	addr    string
	signals *rate.Limiter
	server  *grpc.Server
	conn    *grpc.ClientConn
}

// openThrottle starts a proxy that holds back nothing.
func openThrottle(temporal string) (*throttle, error) {
	conn, err := grpc.NewClient(temporal, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect the throttle to Temporal: %w", err)
	}
	handler, err := proxy.NewWorkflowServiceProxyServer(proxy.WorkflowServiceProxyOptions{Client: workflowservice.NewWorkflowServiceClient(conn)})
	var listener net.Listener
	if err == nil {
		listener, err = net.Listen("tcp", net.JoinHostPort(process.Host, "0"))
	}
	if err != nil {
		return nil, fmt.Errorf("start the throttle: %w", errors.Join(err, conn.Close()))
	}
	t := &throttle{addr: listener.Addr().String(), signals: rate.NewLimiter(rate.Inf, 1), conn: conn}
	t.server = grpc.NewServer(grpc.UnaryInterceptor(t.hold), grpc.MaxRecvMsgSize(16<<20))
	workflowservice.RegisterWorkflowServiceServer(t.server, handler)
	healthpb.RegisterHealthServer(t.server, health{client: healthpb.NewHealthClient(conn)})
	go func() { _ = t.server.Serve(listener) }() // until close
	return t, nil
}

// health passes on whether Temporal is well.
type health struct {
	healthpb.UnimplementedHealthServer
	client healthpb.HealthClient
}

func (h health) Check(ctx context.Context, request *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return h.client.Check(ctx, request)
}

// hold lets a signal wait for its turn.
func (t *throttle) hold(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if method := info.FullMethod[strings.LastIndexByte(info.FullMethod, '/')+1:]; strings.HasPrefix(method, "Signal") {
		if err := t.signals.Wait(ctx); err != nil {
			return nil, err
		}
	}
	return next(ctx, request)
}

// limit is how many signals a second are let through; 0: all.
func (t *throttle) limit(perSecond float64) {
	if perSecond == 0 {
		t.signals.SetLimit(rate.Inf)
		return
	}
	t.signals.SetLimit(rate.Limit(perSecond))
}

func (t *throttle) close() {
	t.server.Stop()
	_ = t.conn.Close()
}
