package simulator

import (
	"net/http"
	"slices"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
)

// massControl is about mass sends.
func (s *Simulator) massControl(route controlRouter) {
	route("GET /_sim/mass", func(r *http.Request) (any, error) { return list(s.MassSends(r.FormValue("appid"))) })
	route("POST /_sim/mass/run", withBody(func(r *http.Request, _ empty) (any, error) {
		s.RunMass(r.Context())
		return empty{}, nil
	}))
	route("POST /_sim/mass/answer", withBody(func(r *http.Request, in massAnswerIn) (any, error) {
		return done(s.AnswerMass(r.Context(), in.AppID, in.MsgID, in.Answer))
	}))
	route("POST /_sim/mass/fail", withBody(func(_ *http.Request, in massFailIn) (any, error) {
		return done(s.FailNextMass(in.AppID, in.Status))
	}))
	route("POST /_sim/mass/reprint", withBody(func(_ *http.Request, in reprintIn) (any, error) {
		return done(s.SetReprint(in.AppID, in.MediaID, in.Reprint))
	}))
	route("POST /_sim/mass/agreement", withBody(func(_ *http.Request, in switchIn) (any, error) {
		return done(s.SetMassAgreement(in.AppID, in.On))
	}))
	route("POST /_sim/mass/name", withBody(func(_ *http.Request, in wxNameIn) (any, error) {
		return done(s.SetWxName(in.OpenID, in.Name))
	}))
	route("GET /_sim/mass/received", func(r *http.Request) (any, error) {
		n, err := s.MassReceived(r.FormValue("openid"))
		return map[string]int{"received": n}, err
	})
}

// templateControl is about template messages and subscription notices.
func (s *Simulator) templateControl(route controlRouter) {
	route("POST /_sim/templates", withBody(func(_ *http.Request, in templateIn) (any, error) {
		add := s.AddTemplate
		if in.Notice {
			add = s.AddNoticeTemplate
		}
		id, err := add(in.AppID, in.Template)
		return map[string]string{"template_id": id}, err
	}))
	route("POST /_sim/template", withBody(func(_ *http.Request, in templateStateIn) (any, error) {
		return done(s.SetTemplateState(in.AppID, in.TemplateID, in.State))
	}))
	route("POST /_sim/template/off", withBody(func(_ *http.Request, in templateOffIn) (any, error) {
		return done(s.TurnTemplateOff(in.OpenID, in.TemplateID, in.Off))
	}))
	route("POST /_sim/template-faults", withBody(func(_ *http.Request, in templateFaultsIn) (any, error) {
		return done(s.SetTemplateFaults(in.AppID, in.TemplateFaults))
	}))
	route("POST /_sim/categories", withBody(func(_ *http.Request, in categoriesIn) (any, error) {
		return done(s.SetCategories(in.AppID, in.IDs...))
	}))
	route("POST /_sim/mini-programs", withBody(func(_ *http.Request, in miniProgramsIn) (any, error) {
		return done(s.LinkMiniPrograms(in.AppID, in.MiniAppIDs...))
	}))
	route("POST /_sim/marketing-words", withBody(func(_ *http.Request, in wordsIn) (any, error) {
		return done(s.SetMarketingWords(in.AppID, in.Words...))
	}))
	route("POST /_sim/receipts", withBody(func(r *http.Request, in accountRef) (any, error) {
		return list(s.DeliverReceipts(r.Context(), in.AppID))
	}))
	route("POST /_sim/popup", withBody(func(r *http.Request, in popupIn) (any, error) {
		return s.AnswerPopup(r.Context(), in.OpenID, in.consents()...)
	}))
	route("POST /_sim/notices/reject", withBody(func(r *http.Request, in rejectIn) (any, error) {
		return s.RejectNotices(r.Context(), in.OpenID, in.TemplateIDs...)
	}))
	route("GET /_sim/notices/consents", func(r *http.Request) (any, error) {
		n, err := s.NoticeConsents(r.FormValue("openid"), r.FormValue("template_id"))
		return map[string]int{"consents": n}, err
	})
}

// publishControl is about drafts and publications.
func (s *Simulator) publishControl(route controlRouter) {
	route("GET /_sim/drafts", func(r *http.Request) (any, error) { return list(s.Drafts(r.FormValue("appid"))) })
	route("POST /_sim/publishing", withBody(func(_ *http.Request, in publishingIn) (any, error) {
		return done(s.SetPublishing(in.AppID, Publishing{Delay: time.Duration(in.Delay), Status: in.Status, Failed: in.Failed}))
	}))
	route("POST /_sim/publishing/finish", withBody(func(r *http.Request, in accountRef) (any, error) {
		return list(s.FinishPublications(r.Context(), in.AppID))
	}))
	route("POST /_sim/publishing/ban", withBody(func(_ *http.Request, in articleRef) (any, error) {
		return done(s.BanPublication(in.AppID, in.ArticleID))
	}))
}

// pushControl is about pushes, and about the rules that the fans' acts stand under.
func (s *Simulator) pushControl(route controlRouter) {
	route("POST /_sim/post", withBody(func(r *http.Request, in Act) (any, error) { return done(s.Post(r.Context(), in)) }))
	route("POST /_sim/wait", withBody(func(r *http.Request, _ empty) (any, error) { return done(s.Wait(r.Context())) }))
	route("POST /_sim/redeliver", withBody(func(r *http.Request, in pushRef) (any, error) {
		all := s.Pushes("")
		i := slices.IndexFunc(all, func(p Push) bool { return p.Seq == in.Seq })
		if i < 0 {
			return nil, fault.New(fault.NotFound, "no push %d is recorded", in.Seq)
		}
		return s.Redeliver(r.Context(), all[i])
	}))
	route("GET /_sim/rules", func(*http.Request) (any, error) { return map[string]string{"name": s.Rules().Name}, nil })
	route("POST /_sim/rules", withBody(func(_ *http.Request, in rulesIn) (any, error) {
		if in.At.IsZero() {
			return nil, fault.BadField("at", "required", "must be a time: the rules of that day come into force")
		}
		s.SetRules(wechat.RulesAt(in.At))
		return map[string]string{"name": s.Rules().Name}, nil
	}))
}

// consents are the answers as the event has them.
func (in popupIn) consents() []callback.Consent {
	out := make([]callback.Consent, len(in.Answers))
	for i, a := range in.Answers {
		out[i] = callback.Consent{TemplateID: a.TemplateID, Accepted: a.Accepted, PopupScene: a.Scene}
	}
	return out
}

// The bodies.
type (
	massAnswerIn struct {
		AppID  string     `json:"appid"`
		MsgID  int64      `json:"msg_id"`
		Answer MassAnswer `json:"answer"` // confirmed, refused or expired
	}
	massFailIn struct {
		AppID  string `json:"appid"`
		Status string `json:"status"` // of the receipt, err(10001)
	}
	reprintIn struct {
		AppID   string  `json:"appid"`
		MediaID string  `json:"media_id"`
		Reprint Reprint `json:"reprint"`
	}
	wxNameIn struct {
		OpenID string `json:"openid"`
		Name   string `json:"name"`
	}
	templateIn struct {
		AppID  string `json:"appid"`
		Notice bool   `json:"notice"` // for subscription notices
		Template
	}
	templateStateIn struct {
		AppID      string        `json:"appid"`
		TemplateID string        `json:"template_id"`
		State      TemplateState `json:"state"`
	}
	templateOffIn struct {
		OpenID     string `json:"openid"`
		TemplateID string `json:"template_id"`
		Off        bool   `json:"off"`
	}
	templateFaultsIn struct {
		AppID string `json:"appid"`
		TemplateFaults
	}
	categoriesIn struct {
		AppID string `json:"appid"`
		IDs   []int  `json:"ids"`
	}
	miniProgramsIn struct {
		AppID      string   `json:"appid"`
		MiniAppIDs []string `json:"mini_appids"`
	}
	wordsIn struct {
		AppID string   `json:"appid"`
		Words []string `json:"words"`
	}
	popupIn struct {
		OpenID  string `json:"openid"`
		Answers []struct {
			TemplateID string `json:"template_id"`
			Accepted   bool   `json:"accepted"`
			Scene      int    `json:"scene"` // 1 a web page, 2 an article
		} `json:"answers"`
	}
	rejectIn struct {
		OpenID      string   `json:"openid"`
		TemplateIDs []string `json:"template_ids"`
	}
	publishingIn struct {
		AppID  string               `json:"appid"`
		Delay  Duration             `json:"delay"`
		Status wechat.PublishStatus `json:"status"`
		Failed []int                `json:"failed"` // numbers of articles, from 1
	}
	articleRef struct {
		AppID     string `json:"appid"`
		ArticleID string `json:"article_id"`
	}
	pushRef struct {
		Seq uint64 `json:"seq"`
	}
	rulesIn struct {
		At time.Time `json:"at"`
	}
)
