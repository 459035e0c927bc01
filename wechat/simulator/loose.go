package simulator

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// looseRule is a place where requests of published SDKs depart from the platform's pages,
// which the SDKs' users have not been hindered by. No page says what the platform makes of
// it: by default it is refused, and with Switches.LooseRequests taken in this way.
type looseRule struct {
	field string // members from the body inwards; * stands for every item of a list
	fix   func(value any) (fixed any, stays bool)
}

// looseRules lists the departures by API. sdktest/README.md says which SDK has which.
func looseRules(path string) []looseRule {
	switch path {
	case PathStableToken:
		return []looseRule{{"neededText", looseGone}}
	case PathComponentToken, PathAuthorizerToken:
		return []looseRule{{"appid", looseGone}, {"secret", looseGone}, {"neededText", looseGone}}
	case PathSend:
		return []looseRule{{"msgmenu.list.*.id", looseText}, {"*.required", looseGone}}
	case PathTemplateSend:
		return []looseRule{{"miniprogram", looseEmpty}, {"url", looseEmpty}, {"color", looseGone}, {"data.*.color", looseGone}}
	case PathNoticeSend:
		return []looseRule{{"miniprogram", looseEmpty}, {"page", looseEmpty}}
	case PathDraftAdd:
		return []looseRule{{"articles.*.show_cover_pic", looseGone}}
	case PathDraftUpdate:
		return []looseRule{{"articles.show_cover_pic", looseGone}}
	case PathDraftList, PathPublishList:
		return []looseRule{{"no_content", looseNumber}}
	case PathMassList, PathMassAll:
		return []looseRule{{"*.required", looseGone}}
	case PathPublishGet:
		return []looseRule{{"publish_id", looseText}}
	case PathMassGet:
		return []looseRule{{"msg_id", looseText}}
	case PathSetIndustry:
		return []looseRule{{"industry_id1", looseText}, {"industry_id2", looseText}}
	case PathMenuDeleteRule:
		return []looseRule{{"menuid", looseText}}
	}
	return nil
}

// looseGone leaves out what no page of today has.
func looseGone(any) (any, bool) { return nil, false }

// looseEmpty takes an optional member without content for one that is not there.
func looseEmpty(value any) (any, bool) {
	switch v := value.(type) {
	case nil:
		return nil, false
	case string:
		return v, v != ""
	case map[string]any:
		for _, inner := range v {
			if inner != "" {
				return v, true
			}
		}
		return nil, false
	}
	return value, true
}

// looseText takes a number for the text that the page asks for.
func looseText(value any) (any, bool) {
	if n, ok := value.(json.Number); ok {
		return n.String(), true
	}
	return value, true
}

// looseNumber takes true and false for the 1 and 0 that the page asks for.
func looseNumber(value any) (any, bool) {
	switch value {
	case true:
		return 1, true
	case false:
		return 0, true
	}
	return value, true
}

// numberedIDs lists by API the ids that the pages have as texts and SDKs read as numbers.
func numberedIDs(path string) []looseRule {
	switch path {
	case PathAgents:
		return []looseRule{{"kf_list.*.kf_id", bareNumber}}
	case PathPublishSubmit, PathPublishGet:
		return []looseRule{{"publish_id", bareNumber}}
	}
	return nil
}

// bareNumber takes the quotes from a number.
func bareNumber(value any) (any, bool) {
	if text, ok := value.(string); ok {
		return json.Number(text), true
	}
	return value, true
}

// loosePosts are the paths of GET that an SDK posts to.
func loosePosts() []string {
	return []string{PathMediaGet, PathMaterialCount, PathJSTicket, PathGetIndustry, PathPrivateTemplates}
}

// loosen applies the rules of the call's API to its method and body. A body that would be
// refused for its form stays as it is.
func (c *call) loosen() {
	if c.method == "POST" && slices.Contains(loosePosts(), c.path) {
		c.method = "GET"
	}
	if !needlessEscape(c.body) {
		c.body = rewrite(c.body, looseRules(c.path))
	}
}

// numberIDs changes the ids in the call's answer.
func (c *call) numberIDs() { c.answer = rewrite(c.answer, numberedIDs(c.path)) }

// rewrite applies rules to a JSON object. What is no object stays as it is.
func rewrite(raw []byte, rules []looseRule) []byte {
	if len(rules) == 0 {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var body map[string]any
	if dec.Decode(&body) != nil || body == nil || dec.More() {
		return raw
	}
	for _, rule := range rules {
		rule.apply(body, strings.Split(rule.field, "."))
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return raw
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func (r looseRule) apply(at any, way []string) {
	name, rest := way[0], way[1:]
	switch in := at.(type) {
	case []any:
		if name == "*" {
			for _, item := range in {
				r.apply(item, rest)
			}
		}
	case map[string]any:
		for key, value := range in {
			switch {
			case name != "*" && name != key:
			case len(rest) > 0:
				r.apply(value, rest)
			default:
				r.set(in, key, value)
			}
		}
	}
}

func (r looseRule) set(in map[string]any, key string, value any) {
	fixed, stays := r.fix(value)
	if !stays {
		delete(in, key)
		return
	}
	in[key] = fixed
}
