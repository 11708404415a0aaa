/* Prints the script with which a shell completes command lines; the script calls `xtctl complete`. */
#include "xtctl.h"

#include <string.h>

static const char bash[] =
	"# eval \"$(xtctl completion bash)\"\n"
	"# One word of the line without its quotes.\n"
	"_xtctl_plain() {\n"
	"	case $1 in\n"
	"	[\\\"\\']*) REPLY=${1:1} REPLY=${REPLY%\"${1:0:1}\"} ;;\n"
	"	\\~/*) REPLY=$HOME${1:1} ;;\n"
	"	*) REPLY=${1//\\\\/} ;;\n"
	"	esac\n"
	"}\n"
	"_xtctl() {\n"
	"	local i REPLY line file word=${COMP_WORDS[COMP_CWORD]} rest=$COMP_LINE before= words=() "
	"found=()\n"
	"	COMPREPLY=()\n"
	"	# bash breaks words at = and :, and puts its answer in the place of the last part.\n"
	"	for ((i = 0; i <= COMP_CWORD; i++)); do\n"
	"		_xtctl_plain \"${COMP_WORDS[i]}\"\n"
	"		if [[ $i = 0 || $rest = [[:space:]]* ]]; then\n"
	"			words+=(\"$REPLY\") before=\n"
	"		else\n"
	"			before=${words[-1]} words[-1]+=$REPLY\n"
	"		fi\n"
	"		rest=${rest#\"${rest%%[![:space:]]*}\"}\n"
	"		rest=${rest#\"${COMP_WORDS[i]}\"}\n"
	"	done\n"
	"	[[ $word = [=:]* ]] && before=${words[-1]}\n"
	"	while IFS= read -r line; do\n"
	"		if [ \"$line\" = :files ] || [ \"$line\" = :databases ]; then\n"
	"			compopt -o filenames 2>/dev/null\n"
	"			file=${words[-1]#\"$before\"}\n"
	"			[[ $word = \\~* ]] && file=$word\n"
	"			while IFS= read -r file; do\n"
	"				case $line$file in\n"
	"				:databases*-wal | :databases*-shm | :databases*.lock | "
	":databases*.log | :databases*.log.1 | :databases*.reserve) ;;\n"
	"				*) COMPREPLY+=(\"$file\") ;;\n"
	"				esac\n"
	"			done < <(compgen -f -- \"$file\")\n"
	"			continue\n"
	"		fi\n"
	"		line=${line%%$'\\t'*}\n"
	"		[[ $line = *= ]] && compopt -o nospace 2>/dev/null\n"
	"		line=${line#\"$before\"}\n"
	"		[[ $word = [\\\"\\']* ]] || printf -v line %q \"$line\"\n"
	"		line=${line//\\\\,/,}\n"
	"		found+=(\"$line\")\n"
	"	done < <(\"$1\" complete \"${words[@]:1}\" 2>/dev/null)\n"
	"	COMPREPLY+=(\"${found[@]}\")\n"
	"}\n"
	"complete -F _xtctl xtctl xt\n";

static const char zsh[] =
	"#compdef xtctl xt\n"
	"# eval \"$(xtctl completion zsh)\"\n"
	"_xtctl() {\n"
	"	local line found=() keys=()\n"
	"	local typed=(\"${(@)${(@Q)words[2,CURRENT]}/#\\~\\//$HOME/}\")\n"
	"	typed[-1]=${(Q)${PREFIX-$words[CURRENT]}}\n"
	"	for line in \"${(@f)$(${words[1]} complete \"${(@)typed}\" 2>/dev/null)}\"; do\n"
	"		if [[ $line = :files ]]; then\n"
	"			_files\n"
	"		elif [[ $line = :databases ]]; then\n"
	"			_files -F '*(-wal|-shm|.lock|.log|.log.1|.reserve)'\n"
	"		elif [[ -n $line ]]; then\n"
	"			line=${${line%%$'\\t'*}//:/\\\\:}${${(M)line:#*$'\\t'*}:+:${line#*$'\\t'}}\n"
	"			if [[ ${line%%:*} = *= ]]; then keys+=($line); else found+=($line); fi\n"
	"		fi\n"
	"	done\n"
	"	(( $#keys )) && _describe xtctl keys -S ''\n"
	"	(( $#found )) && _describe xtctl found\n"
	"	return 0\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _xtctl ]; then\n"
	"	_xtctl \"$@\"\n"
	"else\n"
	"	compdef _xtctl xtctl xt\n"
	"fi\n";

static const char fish[] = "# xtctl completion fish | source\n"
			   "function __xtctl\n"
			   "	set -l words (commandline -opc) (commandline -ct)\n"
			   "	set -l typed (string replace -r '^~/' \"$HOME/\" -- $words[2..-1] | string "
			   "replace -r '^[\\'\"]' '')\n"
			   "	for line in ($words[1] complete $typed 2>/dev/null)\n"
			   "		if contains -- \"$line\" :files :databases\n"
			   "			__fish_complete_path (commandline -ct)\n"
			   "		else\n"
			   "			echo $line\n"
			   "		end\n"
			   "	end\n"
			   "end\n"
			   "complete -c xtctl -f -a '(__xtctl)'\n"
			   "complete -c xt -f -a '(__xtctl)'\n";

static const struct script {
	const char *shell, *text;
} scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

static int cmd_completion(struct ctl *ctl)
{
	const char *shell = ctl->n_args > 0 ? ctl->args[0] : "";

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (strcmp(scripts[i].shell, shell) == 0) {
			fputs(scripts[i].text, ctl->out.file);
			return CTL_OK;
		}
	return ctl_usage(ctl, "'%s' is none of bash, zsh and fish", shell);
}

const struct command completion_command = {
	.name = "completion",
	.usage = "bash|zsh|fish",
	.summary = "a script with which the shell completes commands, tables, columns, runs and values",
	.help = "What the database has is known while its daemon runs; none is started for it. Behind "
		"--where "
		"KEY= stand values of the first and the last 10,000 rows.\n"
		"For bash, in ~/.bashrc:           eval \"$(xtctl completion bash)\"\n"
		"For zsh, in ~/.zshrc:             eval \"$(xtctl completion zsh)\"\n"
		"For fish, in config.fish:         xtctl completion fish | source",
	.examples = (const struct example[]){{"what bash runs", "completion bash"}, {NULL, NULL}},
	.least = 1,
	.most = 1,
	.apart = true,
	.run = cmd_completion,
};
