package wechat

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

const (
	apiSetIndustry      = "/cgi-bin/template/api_set_industry"
	apiGetIndustry      = "/cgi-bin/template/get_industry"
	apiAddTemplate      = "/cgi-bin/template/api_add_template"
	apiPrivateTemplates = "/cgi-bin/template/get_all_private_template"
	apiDeleteTemplate   = "/cgi-bin/template/del_private_template"

	industryCount = 41
)

// MaxPrivateTemplates is how many template-message templates an account can have at once (platform.md 4.3).
const MaxPrivateTemplates = 25

// Industry is a line of business in the platform's list.
type Industry struct {
	FirstClass  string `json:"first_class"`
	SecondClass string `json:"second_class"`
}

// Industries are the two that an account declared for the old industry templates; empty when it declared none.
type Industries struct {
	Primary   Industry `json:"primary_industry"`
	Secondary Industry `json:"secondary_industry"`
}

// PrivateTemplate is a template that an account has taken over from the library.
type PrivateTemplate struct {
	TemplateID      string `json:"template_id"`
	Title           string `json:"title"`
	PrimaryIndustry string `json:"primary_industry"` // "" for category templates
	DeputyIndustry  string `json:"deputy_industry"`  // "" for category templates
	Content         string `json:"content"`          // with markers: "商品:{{thing1.DATA}}\n"; TemplateKeys reads the keys
	Example         string `json:"example"`
}

// SetIndustry declares the account's two industries by their numbers, 1 to 41. It is possible once a month (43100) and
// deletes the industry templates that the account has (platform.md 4.4).
func (c *Client) SetIndustry(ctx context.Context, acc Account, primary, secondary int) error {
	err := errors.Join(checkIndustry("industry_id1", primary), checkIndustry("industry_id2", secondary))
	if err != nil {
		return err
	}
	return c.post(ctx, acc, apiSetIndustry, struct {
		ID1 string `json:"industry_id1"`
		ID2 string `json:"industry_id2"`
	}{strconv.Itoa(primary), strconv.Itoa(secondary)}, nil)
}

func checkIndustry(field string, id int) error {
	return templateRule(id >= 1 && id <= industryCount, field, "range", "an industry has a number from 1 to 41")
}

// Industries returns what SetIndustry or the website declared (platform.md 4.4).
func (c *Client) Industries(ctx context.Context, acc Account) (Industries, error) {
	var out Industries
	err := c.get(ctx, acc, apiGetIndustry, nil, &out)
	return out, err
}

// AddTemplate takes a category template over from the library by its number there and returns the id to send with.
// keywords are the names of those of its keywords that are wanted, in the order in which fans shall see them; at least
// one (40246). Calling it twice makes two templates, so look at PrivateTemplates after a lost answer. Errors: 45026 the
// account has 25 already, 45027 its categories do not fit, 40247 an old industry template, 43106 punished
// (platform.md 4.4).
func (c *Client) AddTemplate(ctx context.Context, acc Account, number string, keywords []string) (string, error) {
	check := &checker{}
	check.required("template_id_short", number)
	if len(keywords) == 0 {
		check.badf("keyword_name_list", "required", "a category template needs the names of its keywords")
	}
	for i, name := range keywords {
		check.required("keyword_name_list["+strconv.Itoa(i)+"]", name)
	}
	if err := errors.Join(check.errs...); err != nil {
		return "", err
	}
	var out struct {
		TemplateID string `json:"template_id"`
	}
	err := c.post(ctx, acc, apiAddTemplate, struct {
		Number   string   `json:"template_id_short"`
		Keywords []string `json:"keyword_name_list"`
	}{number, keywords}, &out)
	switch {
	case err != nil:
		return "", err
	case strings.TrimSpace(out.TemplateID) == "":
		return "", withoutProof(apiAddTemplate, "template_id")
	}
	return out.TemplateID, nil
}

// PrivateTemplates lists the templates that the account can send, category templates included (platform.md 4.4).
func (c *Client) PrivateTemplates(ctx context.Context, acc Account) ([]PrivateTemplate, error) {
	var out struct {
		List []PrivateTemplate `json:"template_list"`
	}
	err := c.get(ctx, acc, apiPrivateTemplates, nil, &out)
	return out.List, err
}

// DeleteTemplate removes a template from the account. Error: 40037 it has no such template (platform.md 4.4).
func (c *Client) DeleteTemplate(ctx context.Context, acc Account, templateID string) error {
	if err := templateRule(strings.TrimSpace(templateID) != "", "template_id", "required", "this is needed"); err != nil {
		return err
	}
	return c.post(ctx, acc, apiDeleteTemplate, struct {
		TemplateID string `json:"template_id"`
	}{templateID}, nil)
}
