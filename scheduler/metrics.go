package scheduler

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"hongyan/deliveries"
)

// Metrics are the figures of sending that operators watch.
type Metrics struct {
	verdict    *prometheus.CounterVec
	answered   *prometheus.CounterVec
	ended      *prometheus.CounterVec
	divergence prometheus.Counter
	maxMarked  atomic.Int64
}

// NewMetrics registers the figures.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		verdict:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hongyan_verdicts_total", Help: "Verdicts of the guard at send time."}, []string{"verdict", "reason"}),
		answered:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hongyan_kefu_answers_total", Help: "Answers to customer-service sends by error code; 0 is ok or none."}, []string{"errcode"}),
		ended:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hongyan_outcomes_total", Help: "Recorded outcomes of calls by state."}, []string{"state"}),
		divergence: prometheus.NewCounter(prometheus.CounterOpts{Name: "hongyan_grant_divergence_total", Help: "Answers 45015 and 45047 that contradicted our count."}),
	}
	for _, c := range []prometheus.Collector{m.verdict, m.answered, m.ended, m.divergence} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) verdicts(stopped []deliveries.Stopped, allowed int) {
	m.verdict.WithLabelValues("allow", "none").Add(float64(allowed))
	for i := range stopped {
		v := stopped[i].Verdict
		m.verdict.WithLabelValues(v.Kind.String(), v.Reason.String()).Inc()
	}
}

func (m *Metrics) answer(code int) { m.answered.WithLabelValues(strconv.Itoa(code)).Inc() }

func (m *Metrics) outcomes(all []deliveries.Outcome) {
	for i := range all {
		m.ended.WithLabelValues(all[i].State.String()).Inc()
	}
}

func (m *Metrics) diverged(n int) { m.divergence.Add(float64(n)) }

// marked notes the most deliveries that were ever marked at once.
func (m *Metrics) marked(n int) {
	for {
		old := m.maxMarked.Load()
		if int64(n) <= old || m.maxMarked.CompareAndSwap(old, int64(n)) {
			return
		}
	}
}

// MaxMarked is the most deliveries of one account and lane that were ever marked and not recorded in this process.
func (m *Metrics) MaxMarked() int64 { return m.maxMarked.Load() }
