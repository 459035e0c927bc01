package campaigns

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
)

// ForecastKind is the job that makes a forecast of many fans, or reports of a shadow mode. Its result is the Forecast as JSON, for ReadForecast.
const ForecastKind = "forecast"

// ForecastAtOnce is up to how many fans a forecast is made while somebody waits for it: of more, a job makes it.
const ForecastAtOnce = 5_000

// FewToForecast reports whether the audience of a forecast is small enough for Forecast or ShadowReport to be waited for. It looks at few more than that.
func (s *Store) FewToForecast(ctx context.Context, accountID int64, q ForecastQuery) (bool, error) {
	tag := q.TagID
	if q.Audience != AudienceFans {
		tag = 0
	}
	p := production{store: s, account: &accounts.Account{ID: accountID}}
	for total, after := 0, int64(0); total <= ForecastAtOnce; {
		ids, err := p.slice(ctx, tag, after)
		if err != nil || len(ids) == 0 {
			return err == nil, err
		}
		total, after = total+len(ids), ids[len(ids)-1]
	}
	return false, nil
}

// NewForecasting makes the job that does a query, to be handed to jobs.Store.Create; with AudienceShadow it is that of a ShadowReport of the drip. A query that cannot be
// done is refused at once. Errors: as Forecast's and ShadowReport's.
func (s *Store) NewForecasting(ctx context.Context, account *accounts.Account, q ForecastQuery) (*jobs.Job, error) {
	if _, err := s.prepare(ctx, account, &q); err != nil {
		return nil, err
	}
	params, err := json.Marshal(q) //nolint:musttag // this program writes and reads it; clients get it from the API
	if err != nil {
		return nil, fmt.Errorf("store a forecast: %w", err)
	}
	return &jobs.Job{AccountID: account.ID, Kind: ForecastKind, Params: params}, nil
}

// RunForecast is the jobs.Runner of ForecastKind. All of it is one step: nothing is stored but the result, and a job that was cut short begins anew.
func (s *Store) RunForecast(ctx context.Context, r *jobs.Run) error {
	var q ForecastQuery
	if err := json.Unmarshal(r.Params, &q); err != nil { //nolint:musttag // this program writes and reads it; clients get it from the API
		return fault.Wrap(fault.Invalid, err, "what the forecast is of cannot be read; start a new one")
	}
	if r.Cursor != "" {
		return nil // the result is stored
	}
	account, err := s.Accounts.FindAccount(ctx, r.AccountID)
	if err != nil {
		return err
	}
	p, err := s.prepare(ctx, account, &q)
	if err != nil {
		return err
	}
	if err := p.play(ctx, q.TagID); err != nil {
		return err
	}
	f := p.forecast(&q)
	body, err := json.Marshal(f) //nolint:musttag // this program writes and reads it; clients get it from the API
	if err != nil {
		return fmt.Errorf("store a forecast: %w", err)
	}
	return r.Step(ctx, func(*gorm.DB) (jobs.Progress, error) {
		return jobs.Progress{Cursor: "done", Done: f.Fans, Total: f.Fans, Result: body}, nil
	})
}

// ReadForecast reads the result of a job of ForecastKind. Errors: Internal when it is none.
func ReadForecast(result []byte) (*Forecast, error) {
	f := &Forecast{}
	dec := json.NewDecoder(bytes.NewReader(result))
	dec.DisallowUnknownFields()
	if err := dec.Decode(f); err != nil { //nolint:musttag // this program writes and reads it; clients get it from the API
		return nil, fault.Wrap(fault.Internal, err, "a forecast cannot be read")
	}
	return f, nil
}
