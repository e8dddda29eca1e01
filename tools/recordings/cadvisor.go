package main

import (
	"time"

	"github.com/google/cadvisor/lib/container"
	cadvisor "github.com/google/cadvisor/lib/metrics"
	info "github.com/google/cadvisor/lib/model"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

// pods reports containers as a kubelet's cAdvisor finds them.
type pods struct {
	list map[string]*info.ContainerInfo
}

func (p pods) GetRequestedContainersInfo(string, info.RequestOptions) (map[string]*info.ContainerInfo, error) {
	return p.list, nil
}

func (pods) GetVersionInfo() (*info.VersionInfo, error) { return &info.VersionInfo{}, nil }

func (pods) GetMachineInfo() (*info.MachineInfo, error) {
	return &info.MachineInfo{NumCores: 4, MemoryCapacity: 16 << 30}, nil
}

// containers exposes three pods of two workloads, with the labels that a kubelet gives them.
func containers(reg *prometheus.Registry) error {
	p := pods{list: map[string]*info.ContainerInfo{}}
	for i, c := range [][2]string{{"checkout-7d9f8c6b5d-x2x4z", "checkout"}, {"checkout-7d9f8c6b5d-b5kkq", "checkout"}, {"orders-db-0", "postgres"}} {
		id := "/kubepods.slice/" + c[0] + "/" + c[1]
		one := &info.ContainerInfo{
			ContainerReference: info.ContainerReference{Name: id, Aliases: []string{"k8s_" + c[1] + "_" + c[0]}},
			Spec: info.ContainerSpec{
				CreationTime: time.Unix(1700000000, 0), HasCpu: true, HasMemory: true, Image: "registry.example/" + c[1] + ":1.4.2",
				Labels: map[string]string{
					"io.kubernetes.pod.name": c[0], "io.kubernetes.pod.namespace": "shop", "io.kubernetes.container.name": c[1],
				},
				Cpu: info.CpuSpec{Limit: 1024, Period: 100000, Quota: 100000}, Memory: info.MemorySpec{Limit: 512 << 20},
			},
			Stats: []*info.ContainerStats{{
				Timestamp: time.Unix(1700086400, 0),
				Cpu: &info.CpuStats{
					Usage: info.CpuUsage{Total: uint64(2000+100*i) * 1e9, User: uint64(1500+100*i) * 1e9, System: 500e9},
					CFS:   info.CpuCFS{Periods: 800000, ThrottledPeriods: uint64(8000 + 100*i), ThrottledTime: 400e9},
				},
				Memory: &info.MemoryStats{Usage: uint64(300+20*i) << 20, WorkingSet: uint64(250+20*i) << 20, RSS: 200 << 20},
			}},
		}
		p.list[id] = one
	}
	kubelet := func(c *info.ContainerInfo) map[string]string {
		return map[string]string{
			"id": c.Name, "name": c.Aliases[0], "image": c.Spec.Image, "pod": c.Spec.Labels["io.kubernetes.pod.name"],
			"namespace": c.Spec.Labels["io.kubernetes.pod.namespace"], "container": c.Spec.Labels["io.kubernetes.container.name"],
		}
	}
	kinds := container.MetricSet{container.CpuUsageMetrics: {}, container.MemoryUsageMetrics: {}}
	return reg.Register(cadvisor.NewPrometheusCollector(p, kubelet, kinds, clock.RealClock{}, info.RequestOptions{}))
}
