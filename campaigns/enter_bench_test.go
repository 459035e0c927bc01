package campaigns_test

import (
	"testing"

	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
)

// BenchmarkEnter lets sets of 200 fans into a drip, as pushes do: one transaction for each set. An operation is one fan.
func BenchmarkEnter(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *database.DB{"sqlite": testdb.SQLite, "mysql": testdb.MySQL} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, open(b), guard.PolicySpec{})
			w.run(define(follow, "", `"delay":"10s"`), 0)
			acts := make([]campaigns.Act, b.N)
			for i := range acts {
				acts[i] = w.act(int64(i+1), campaigns.ActFollow, "")
			}
			b.ResetTimer()
			for len(acts) > 0 {
				n := min(200, len(acts))
				in := campaigns.EnterInput{Now: w.clk.Now(), Account: w.account, Acts: acts[:n]}
				w.tx(func(tx *gorm.DB) error {
					if err := w.drips.React(tx, in); err != nil {
						return err
					}
					_, err := w.drips.Enter(tx, in)
					return err
				})
				acts = acts[n:]
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fans/s")
		})
	}
}
