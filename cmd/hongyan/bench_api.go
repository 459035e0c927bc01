package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// apiConns is how many clients ask at once, each with a token of its own, because each token has a rate.
	apiConns = 16
	// apiRounds is how often each client asks for each list and report.
	apiRounds = 17
	// apiWorst is how many of the slowest are named in the line.
	apiWorst = 5
)

// apiJob is one storage of api: it is seeded once, and every run asks the same data.
type apiJob struct {
	*bench

	place   *benchPlace
	fans    int
	deliver int
	seeded  apiSeeded
	line    benchLine
	run     int // how many runs have begun
}

// api measures the lists and reports of the admin API over HTTP.
func (b *bench) api(ctx context.Context, storage string) (err error) {
	j := &apiJob{bench: b, fans: b.fans, deliver: b.deliveries}
	if storage == benchEmbedded { // which is for smaller accounts
		j.fans, j.deliver = max(j.fans/10, 100), max(j.deliver/10, 1000)
	}
	j.line = benchLine{Bench: "api", Storage: storage, Fans: j.fans, Deliveries: j.deliver, InFlight: apiConns}
	if j.place, err = b.place(ctx, storage, 2); err != nil {
		return err
	}
	defer joined(&err, func() error { return j.place.remove(ctx) })
	if err := j.place.open(ctx, b, j.seed(ctx)); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return b.repeat(ctx, j.once)
}

func (j *apiJob) once(ctx context.Context) (_ *benchLine, err error) {
	var at listening
	w, err := j.start(ctx, j.place.settings, &at, childWorker, "--prefix", j.place.prefix, "--cpuprofile", j.profile)
	if err != nil {
		return nil, err
	}
	defer joined(&err, w.stop)
	j.run++
	if _, err := j.ask(ctx, at.URL, 1); err != nil { // so that nothing is the first of its kind
		return nil, err
	}
	servers := serversCPU()
	rounds := apiRounds
	if j.quick {
		rounds = 1
	}
	took, err := j.ask(ctx, at.URL, rounds)
	if err != nil {
		return nil, err
	}
	var state workerState
	if err := w.ask("usage", &state); err != nil {
		return nil, err
	}
	line := j.line
	line.judge(took)
	asked := 0
	for _, of := range took {
		asked += len(of)
	}
	line.PeakRSSMB = round(float64(state.RSSKB)/1024, 1)
	if j.line.Storage == benchServers {
		line.DBCPUPer1000 = per1000(serversCPU()-servers, asked)
	}
	return &line, w.ask("stop", &state)
}

// judge tells how long lists and reports took, all of them together and the worst of them by name.
func (l *benchLine) judge(took map[string][]float64) {
	var lists, reports []float64
	each := map[string]float64{}
	for name, of := range took {
		slices.Sort(of)
		each[name] = round(percentile(of, 95), 1)
		if strings.HasPrefix(name, reportPrefix) {
			reports = append(reports, of...)
		} else {
			lists = append(lists, of...)
		}
	}
	l.ListsP95MS = p95Of(lists)
	l.ReportsP95MS = p95Of(reports)
	names := slices.SortedFunc(maps.Keys(each), func(a, b string) int { return cmp.Or(cmp.Compare(each[b], each[a]), strings.Compare(a, b)) })
	l.Worst = map[string]float64{}
	for _, name := range names[:min(apiWorst, len(names))] {
		l.Worst[name] = each[name]
	}
}

func p95Of(all []float64) *float64 {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	p := round(percentile(all, 95), 1)
	return &p
}

// ask lets all clients ask for everything rounds times, in an order of their own, and returns how many milliseconds each answer took, by name.
func (j *apiJob) ask(ctx context.Context, server string, rounds int) (map[string][]float64, error) {
	all := map[string][]float64{}
	errs := make([]error, apiConns)
	var mu sync.Mutex
	var clients sync.WaitGroup
	for i := range apiConns {
		clients.Go(func() {
			c := &apiClient{job: j, base: server + "/api/v1/accounts/", token: j.seeded.tokens[j.run-1][i], rand: rand.New(rand.NewPCG(1, uint64(i))), took: map[string][]float64{}} //nolint:gosec // parameters that repeat
			errs[i] = c.rounds(ctx, rounds)
			mu.Lock()
			defer mu.Unlock()
			for name, of := range c.took {
				all[name] = append(all[name], of...)
			}
		})
	}
	clients.Wait()
	return all, errors.Join(errs...)
}

// apiClient is one connection.
type apiClient struct {
	job   *apiJob
	http  http.Client
	base  string
	token string
	rand  *rand.Rand
	took  map[string][]float64
	next  map[string]string // by list: the cursor of the page to ask for
}

func (c *apiClient) rounds(ctx context.Context, n int) error {
	c.http.Transport = &http.Transport{MaxIdleConnsPerHost: 1}
	defer c.http.CloseIdleConnections()
	requests := c.job.requests()
	c.next = map[string]string{}
	for range n {
		for _, i := range c.rand.Perm(len(requests)) {
			if err := c.one(ctx, requests[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// one asks for the next page of a list as long as it has one, and then begins anew; the first pages of most lists are warm, the others are not.
func (c *apiClient) one(ctx context.Context, r apiRequest) error {
	path, query := r.make(c.rand)
	key := r.name + path + query.Encode()
	if at := c.next[key]; at != "" {
		query.Set("cursor", at)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", r.name, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	began := c.job.clock.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", r.name, err)
	}
	raw, err := io.ReadAll(resp.Body)
	took := c.job.clock.Now().Sub(began)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("ask for %s: %w", r.name, err)
	}
	var page struct {
		Next string `json:"next"`
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s?%s was answered %s: %s", path, query.Encode(), resp.Status, raw)
	}
	if err := json.Unmarshal(raw, &page); err != nil {
		return fmt.Errorf("read the answer to %s: %w", r.name, err)
	}
	c.next[key] = page.Next
	c.took[r.name] = append(c.took[r.name], float64(took)/float64(time.Millisecond))
	return nil
}

// reportPrefix begins the names of what is a report and not a list.
const reportPrefix = "report "

// apiRequest is a list or a report with parameters that change.
type apiRequest struct {
	name string
	make func(r *rand.Rand) (path string, query url.Values)
}

func (j *apiJob) requests() []apiRequest {
	s := &j.seeded
	list := func(name, path string, pairs ...string) apiRequest {
		return apiRequest{name, func(r *rand.Rand) (string, url.Values) {
			a, q := s.account(r), url.Values{}
			texts := strings.Split(s.fill(r, a, strings.Join(append([]string{path}, pairs...), "\n")), "\n") // at once, because a period has two ends
			for i := 1; i < len(texts); i += 2 {
				q.Set(texts[i], texts[i+1])
			}
			return strconv.FormatInt(a.id, 10) + "/" + texts[0], q
		}}
	}
	return []apiRequest{
		list("fans", "fans"),
		list("fans subscribed", "fans", "subscribed", "true"),
		list("fans gone", "fans", "subscribed", "false"),
		list("fans blacklisted", "fans", "blacklisted", "true"),
		list("fans by interaction", "fans", "sort", "interacted"),
		list("fans with a window", "fans", "window_open", "true", "sort", "interacted"),
		list("fans silent", "fans", "sort", "interacted", "interacted_before", "{time}"),
		list("fans by scene", "fans", "scene", "ch{n}"),
		list("fans by source", "fans", "follow_source", "ADD_SCENE_{n}"),
		list("fans by no source", "fans", "follow_source", "ADD_SCENE_OTHERS"), // the most that a page may cost
		list("fans by name", "fans", "q", "n{n}"),
		list("fans with a tag", "fans", "tag", "{tag}"),
		list("fans with a tag by interaction", "fans", "tag", "{tag}", "sort", "interacted"),
		list("fan", "fans/{fan}"),
		list("interactions", "interactions"),
		list("interactions of a kind", "interactions", "kind", "scan"),
		list("interactions of a fan", "fans/{fan}/interactions"),
		list("deliveries", "deliveries"),
		list("deliveries of a fan", "fans/{fan}/deliveries"),
		list("deliveries of a source", "deliveries", "source_kind", "drip", "source", "{drip}"),
		list("deliveries of a source skipped", "deliveries", "source_kind", "drip", "source", "{drip}", "state", "skipped"),
		list("deliveries planned", "deliveries", "state", "planned"),
		list("deliveries skipped", "deliveries", "state", "skipped", "reason", "cap"),
		list("deliveries skipped for no reason", "deliveries", "state", "skipped", "reason", "quiet_hours"), // likewise
		list("deliveries to look at", "deliveries", "attention", "true"),
		list("deliveries of a period", "deliveries", "since", "{time}", "before", "{later}"),
		list("delivery", "deliveries/{delivery}"),
		list("tags", "tags"),
		list("drips", "drips"),
		list("deliveries behind a number", "drips/{drip}/report/deliveries", "step", "1", "outcome", "skipped"),
		list(reportPrefix+"drip", "drips/{drip}/report"),
		list(reportPrefix+"drip of days", "drips/{drip}/report", "from", "{day}", "to", "{until}"),
		list(reportPrefix+"lost reach", "lost-reach"),
		list(reportPrefix+"lost reach of days", "lost-reach", "from", "{day}", "to", "{until}"),
	}
}
