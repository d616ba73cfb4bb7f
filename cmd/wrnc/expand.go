package main

import "io"

// expandCommand is `wrnc expand`.
type expandCommand struct {
	Network string `arg:"" name:"file|name" help:"A .wrn file, or a name such as WRN-16-8."`
	JSON    bool   `help:"Print one JSON object: the model and its text."`
}

// Help shows an example.
func (c *expandCommand) Help() string {
	return "Prints the network as a file of layers, to be changed layer by layer. It compiles to the same kernels. " +
		"Comments stay, but for those that stand with a setting of the name's block, such as stride or count, that has become layers.\n\n" +
		"Example: wrnc expand WRN-16-8 > my.wrn"
}

// expandFacts is what `wrnc expand --json` prints.
type expandFacts struct {
	Model string `json:"model"`
	Text  string `json:"text"`
}

// Run prints the layers.
func (c *expandCommand) Run(s *session) error {
	net, err := loadNetwork(c.Network)
	if err != nil {
		return err
	}
	text, err := net.Expand()
	if err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(expandFacts{Model: net.Name, Text: text})
	}
	_, err = io.WriteString(s.stdout, text)
	return err
}
